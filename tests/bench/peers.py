"""What the guests of both machines talk to on the host: a TCP server, and a sound server without hardware."""

import os
import shutil
import socket
import subprocess
import threading

CHUNK = bytes(1 << 20)


class TcpPeer:
    """Serves what the test disc's command "tcp" asks for in its first line, on a port of the host's own."""

    def __init__(self):
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection):
        with connection:
            try:
                line = bytearray()
                while not line.endswith(b'\n'):
                    byte = connection.recv(1)
                    if not byte:
                        return
                    line += byte
                what, count = line.split()
                getattr(self, '_' + what.decode('ascii'))(connection, int(count))
                connection.recv(1)  # the guest ends it
            except ConnectionError:
                pass

    @staticmethod
    def _up(connection, count):
        buffer = bytearray(len(CHUNK))
        while count:
            got = connection.recv_into(buffer, min(count, len(buffer)))
            if not got:
                return
            count -= got
        connection.sendall(b'.')

    @staticmethod
    def _down(connection, count):
        while count:
            count -= connection.send(CHUNK[:count] if count < len(CHUNK) else CHUNK)

    @staticmethod
    def _ask(connection, count):
        for _ in range(count):
            if not connection.recv(1):
                return
            connection.send(b'.')

    @staticmethod
    def _echo(connection, count):
        for _ in range(count):
            connection.send(b'.')
            if not connection.recv(1):
                return

    def stop(self):
        self.listener.close()


class SoundServer:
    """PulseAudio with a null sink, in a folder of its own."""

    def __init__(self, folder):
        path = f'{folder}/pulse'
        os.makedirs(path)
        self.address = f'unix:{path}/native'
        if not shutil.which('pulseaudio'):
            self.process = None
            return
        self.process = subprocess.Popen(
            ['pulseaudio', '-n', '--daemonize=no', '--exit-idle-time=-1', '--use-pid-file=no', '--log-target=stderr',
             '-v', '-L', f'module-native-protocol-unix socket={path}/native auth-anonymous=1',
             '-L', 'module-null-sink sink_name=out rate=48000 format=s16le channels=2'],
            env=dict(os.environ, HOME=path, XDG_CONFIG_HOME=path, XDG_RUNTIME_DIR=path), text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for line in self.process.stderr:
            if 'startup complete' in line:
                break
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()
