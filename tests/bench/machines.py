"""The two virtual machines that are compared, each with the test disc, one disk, and a window."""

import os
import shlex
import socket
import subprocess
import time

MEBIBYTE = 1 << 20
RAM = 256 * MEBIBYTE
PATIENCE = 120  # seconds, for anything that the guest answers


class BenchError(Exception):
    pass


class Machine:
    """A running process, and the line to the test disc's command interpreter."""

    title = None  # what its window's title starts with

    def __init__(self, command, serial_path, environment):
        self.command = command
        self.started = time.monotonic_ns() // 1000
        self.process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.serial = self._connect(serial_path)
        self.lines = self.serial.makefile('r', encoding='ascii', newline='\n')

    def _connect(self, path):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and self.process.poll() is None:
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(PATIENCE)
            try:
                connection.connect(path)
                return connection
            except OSError:
                connection.close()
                time.sleep(0.002)
        raise BenchError(f'{shlex.join(self.command)}: no serial port at {path}')

    def line(self):
        return self.lines.readline().strip()

    def send(self, text):
        self.serial.sendall(text.encode() + b'\n')

    def ask(self, text):
        """The number that the disc answers, or 0."""
        self.send(text)
        words = self.line().split()
        if not words or words[0] != text.split()[0]:
            raise BenchError(f'{self.title}: the test disc answers "{text}" with {words}')
        return int(words[1]) if len(words) > 1 else 0

    def memory_beyond_ram(self):
        """Proportional set size in bytes, without the mapping that is the guest's RAM."""
        total = 0
        with open(f'/proc/{self.process.pid}/smaps', encoding='utf-8') as smaps:
            for line in smaps:
                words = line.split()
                if '-' in words[0] and not words[0].endswith(':'):
                    start, end = (int(number, 16) for number in words[0].split('-'))
                    is_ram = RAM <= end - start < RAM + 4 * MEBIBYTE
                elif words[0] == 'Pss:' and not is_ram:
                    total += int(words[1]) * 1024
        return total

    def threads(self):
        """By thread: nanoseconds on a CPU, and how often it was put on one."""
        counts = {}
        folder = f'/proc/{self.process.pid}/task'
        for thread in os.listdir(folder):
            with open(f'{folder}/{thread}/schedstat', encoding='ascii') as schedstat:
                on_cpu, _, turns = schedstat.read().split()
            counts[thread] = int(on_cpu), int(turns)
        return counts

    def usage(self, seconds):
        """Over that time: microseconds on a CPU and wake-ups of all threads, in each second."""
        before, start = self.threads(), time.monotonic()
        time.sleep(seconds)
        after, took = self.threads(), time.monotonic() - start
        on_cpu = sum(after[thread][0] - before.get(thread, (0, 0))[0] for thread in after)
        turns = sum(after[thread][1] - before.get(thread, (0, 0))[1] for thread in after)
        return on_cpu / 1000 / took, turns / took

    def stop(self):
        self.lines.close()
        self.serial.close()
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Image:
    """A disk image, as both machines are told of it."""

    def __init__(self, path, kind='raw'):
        self.path, self.kind = path, kind

    def create(self, size, backing=None):
        below = ['-b', backing.path, '-F', backing.kind] if backing else []
        subprocess.run(['qemu-img', 'create', '-q', '-f', self.kind, *below, self.path, str(size)], check=True)

    def convert_from(self, other):
        subprocess.run(['qemu-img', 'convert', '-f', other.kind, '-O', self.kind, other.path, self.path], check=True)

    def sync(self):
        with open(self.path, 'rb+') as image:
            os.fsync(image.fileno())


class Oriel(Machine):
    title = 'bench-machine'

    def __init__(self, options, environment, image, bus='ahci', everyday=False):
        del everyday  # network adapter, sound and USB tablet are always there
        folder = f'{options.folder}/machine'
        os.makedirs(folder, exist_ok=True)
        with open(f'{folder}/machine.conf', 'w', encoding='ascii') as conf:
            disk = '[stick0]' if bus == 'usb' else f'[disk0]\nbus={bus}'
            conf.write(f'[machine]\nname={self.title}\ncpus=1\nmemory={RAM // MEBIBYTE}\nboot=cd\n'
                       f'[serial]\nmode=socket\n{disk}\npath={image.path}\nformat={image.kind}\n'
                       f'[cd1]\npath={options.disc}\n')
        super().__init__([options.oriel, folder], f'{environment["XDG_RUNTIME_DIR"]}/oriel/machine.serial.sock',
                         environment)


class Qemu(Machine):
    title = 'QEMU'
    # Its own limit of an NVMe transfer is half of what the test disc asks for at once.
    BUSES = {'ahci': 'ide-hd,bus=ide.0', 'nvme': 'nvme,serial=bench,mdts=8', 'usb': 'usb-storage'}

    def __init__(self, options, environment, image, bus='ahci', everyday=False):
        """everyday: with the devices that Oriel's machine always has here: network adapter, sound, USB tablet."""
        devices = ['-device', 'qemu-xhci'] if everyday or bus == 'usb' else []
        if everyday:
            devices += ['-netdev', 'user,id=net', '-device', 'e1000e,netdev=net', '-device', 'usb-tablet',
                        '-audiodev', f'pa,id=sound,server={environment.get("PULSE_SERVER")}',
                        '-device', 'ich9-intel-hda', '-device', 'hda-duplex,audiodev=sound']
        else:
            devices += ['-nic', 'none']
        path = f'{options.folder}/qemu.serial'
        command = [
            options.qemu, '-machine', 'q35', '-accel', 'kvm', '-m', str(RAM // MEBIBYTE), '-vga', 'std',
            '-display', options.qemu_display, *devices, '-boot', 'd', '-cdrom', options.disc,
            '-drive', f'file={image.path},format={image.kind},if=none,id=disk,cache=writeback,aio={options.qemu_aio}',
            '-device', f'{self.BUSES[bus]},drive=disk', '-serial', f'unix:{path},server=on,wait=off']
        if os.path.exists(path):
            os.remove(path)
        super().__init__(command, path, environment)
