/*
 * What the ACPI namespace says about every machine. What depends on the machine's configuration (processors, the
 * window above RAM, the serial port's presence), and the interrupt routes, are in the SSDT that
 * vmm/firmware/ssdt.c writes.
 *
 * Table revision 1: integers have 32 bits, which the oldest guests need and the newest do not mind.
 * There is no \_S1, and no \_S3 as long as the machine cannot suspend to RAM.
 */
DefinitionBlock ("dsdt.aml", "DSDT", 1, "ORIEL", "MACHINE", 0x00000001)
{
    External (\_SB.SERP, IntObj)         // 1: the serial port exists
    External (\_SB.PCI0.W64B, BuffObj)   // resource template of the 64-bit window; only an end tag without one
    External (\_SB.PCI0.PRTP, MethodObj) // interrupt routes through the links A-H (8259)
    External (\_SB.PCI0.PRTA, PkgObj)    // interrupt routes to I/O APIC inputs 16-23

    Name (\_S4, Package (4) { 2, 2, 0, 0 })
    Name (\_S5, Package (4) { 0, 0, 0, 0 })

    // The interrupt model that the operating system uses: 0 8259, 1 I/O APIC (ACPI 6.0, section 5.8.1)
    Name (\PICF, 0)
    Method (\_PIC, 1, NotSerialized)
    {
        PICF = Arg0
    }

    Scope (\_SB)
    {
        // PCIEXBAR's range must be reserved by a motherboard device, outside the host bridge's windows
        // (PCI Firmware Specification 3.0, section 4.1.2).
        Device (ECAM)
        {
            Name (_HID, EisaId ("PNP0C01"))
            Name (_CRS, ResourceTemplate ()
            {
                Memory32Fixed (ReadWrite, 0xB0000000, 0x10000000)
            })
        }

        Device (PCI0)
        {
            Name (_HID, EisaId ("PNP0A08"))
            Name (_CID, EisaId ("PNP0A03"))
            Name (_UID, 0)
            Name (_BBN, 0)
            Name (_SEG, 0)

            Name (W32B, ResourceTemplate ()
            {
                WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode,
                    0x0000, 0x0000, 0x00FF, 0x0000, 0x0100)
                IO (Decode16, 0x0CF8, 0x0CF8, 0x01, 0x08)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
                    0x0000, 0x0000, 0x0CF7, 0x0000, 0x0CF8)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
                    0x0000, 0x0D00, 0xFFFF, 0x0000, 0xF300)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, Cacheable, ReadWrite,
                    0x00000000, 0x000A0000, 0x000BFFFF, 0x00000000, 0x00020000)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
                    0x00000000, 0x80000000, 0xAFFFFFFF, 0x00000000, 0x30000000)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
                    0x00000000, 0xC0000000, 0xFEBFFFFF, 0x00000000, 0x3EC00000)
            })

            Method (_CRS, 0, NotSerialized)
            {
                // 32-bit Windows up to 7 stops at a 64-bit window, so it is there only when it is needed.
                If (SizeOf (W64B) > 2)
                {
                    Return (ConcatenateResTemplate (W32B, W64B))
                }
                Return (W32B)
            }

            // PCI Firmware Specification 3.0, section 4.5.1: grants all but native hot plug.
            Method (_OSC, 4, NotSerialized)
            {
                CreateDWordField (Arg3, 0, CDW1)
                If (Arg0 == ToUUID ("33db4d5b-1ff7-401c-9657-7441c03dd766"))
                {
                    CreateDWordField (Arg3, 8, CDW3)
                    Local0 = CDW3 & 0x1E
                    If (Arg1 != 1)
                    {
                        CDW1 |= 0x08 // unrecognised revision
                    }
                    If (CDW3 != Local0)
                    {
                        CDW1 |= 0x10 // some capabilities masked
                    }
                    CDW3 = Local0
                }
                Else
                {
                    CDW1 |= 0x04 // unrecognised UUID
                }
                Return (Arg3)
            }

            Method (_PRT, 0, NotSerialized)
            {
                If (PICF)
                {
                    Return (PRTA)
                }
                Return (PRTP ())
            }

            // LPC bridge 00:1f.0 and what sits behind it
            Device (LPC)
            {
                Name (_ADR, 0x001F0000)

                OperationRegion (ROUT, PCI_Config, 0x60, 0x0C)
                Field (ROUT, ByteAcc, NoLock, Preserve)
                {
                    RTEA, 8,
                    RTEB, 8,
                    RTEC, 8,
                    RTED, 8,
                    Offset (0x08),
                    RTEE, 8,
                    RTEF, 8,
                    RTEG, 8,
                    RTEH, 8
                }

                // Ports of chipset and firmware that no other device claims
                Device (RSVD)
                {
                    Name (_HID, EisaId ("PNP0C02"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0092, 0x0092, 0x01, 0x01)
                        IO (Decode16, 0x00B2, 0x00B2, 0x01, 0x02)
                        IO (Decode16, 0x0402, 0x0402, 0x01, 0x01)
                        IO (Decode16, 0x04D0, 0x04D0, 0x01, 0x02)
                        IO (Decode16, 0x0510, 0x0510, 0x01, 0x0C)
                        IO (Decode16, 0x0600, 0x0600, 0x01, 0x80)
                    })
                }

                Device (RTC)
                {
                    Name (_HID, EisaId ("PNP0B00"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0070, 0x0070, 0x01, 0x08)
                        IRQNoFlags () { 8 }
                    })
                }

                Device (KBD)
                {
                    Name (_HID, EisaId ("PNP0303"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0060, 0x0060, 0x01, 0x01)
                        IO (Decode16, 0x0064, 0x0064, 0x01, 0x01)
                        IRQNoFlags () { 1 }
                    })
                }

                Device (MOU)
                {
                    Name (_HID, EisaId ("PNP0F13"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IRQNoFlags () { 12 }
                    })
                }

                Device (COM1)
                {
                    Name (_HID, EisaId ("PNP0501"))
                    Name (_UID, 1)
                    Method (_STA, 0, NotSerialized)
                    {
                        If (SERP)
                        {
                            Return (0x0F)
                        }
                        Return (0)
                    }
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x03F8, 0x03F8, 0x01, 0x08)
                        IRQNoFlags () { 4 }
                    })
                }
            }
        }

        // PIRQ route registers of the LPC bridge (ICH9 datasheet): bit 7 is off, bits 3-0 are the 8259's input.
        Method (RTST, 1, NotSerialized)
        {
            If (Arg0 & 0x80)
            {
                Return (0x09)
            }
            Return (0x0B)
        }

        Name (RTNO, ResourceTemplate ()
        {
            Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) { 0 }
        })

        Method (RTCR, 1, NotSerialized)
        {
            Local0 = RTNO
            CreateDWordField (Local0, 0x05, IRQV)
            If (!(Arg0 & 0x80))
            {
                IRQV = Arg0 & 0x0F
            }
            Return (Local0)
        }

        Name (RTPR, ResourceTemplate ()
        {
            Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) { 5, 10, 11 }
        })

        // Links A-H for the 8259; the inputs 16-23 of the I/O APIC are wired to them for good and need no links
        Device (LNKA)
        {
            Name (_HID, EisaId ("PNP0C0F"))
            Name (_UID, 0)
            Method (_STA, 0, NotSerialized) { Return (RTST (\_SB.PCI0.LPC.RTEA)) }
            Method (_PRS, 0, NotSerialized) { Return (RTPR) }
            Method (_CRS, 0, NotSerialized) { Return (RTCR (\_SB.PCI0.LPC.RTEA)) }
            Method (_DIS, 0, NotSerialized) { \_SB.PCI0.LPC.RTEA |= 0x80 }
            Method (_SRS, 1, NotSerialized)
            {
                CreateDWordField (Arg0, 0x05, IRQV)
                \_SB.PCI0.LPC.RTEA = IRQV
            }
        }

        Device (LNKB)
        {
            Name (_HID, EisaId ("PNP0C0F"))
            Name (_UID, 1)
            Method (_STA, 0, NotSerialized) { Return (RTST (\_SB.PCI0.LPC.RTEB)) }
            Method (_PRS, 0, NotSerialized) { Return (RTPR) }
            Method (_CRS, 0, NotSerialized) { Return (RTCR (\_SB.PCI0.LPC.RTEB)) }
            Method (_DIS, 0, NotSerialized) { \_SB.PCI0.LPC.RTEB |= 0x80 }
            Method (_SRS, 1, NotSerialized)
            {
                CreateDWordField (Arg0, 0x05, IRQV)
                \_SB.PCI0.LPC.RTEB = IRQV
            }
        }

        Device (LNKC)
        {
            Name (_HID, EisaId ("PNP0C0F"))
            Name (_UID, 2)
            Method (_STA, 0, NotSerialized) { Return (RTST (\_SB.PCI0.LPC.RTEC)) }
            Method (_PRS, 0, NotSerialized) { Return (RTPR) }
            Method (_CRS, 0, NotSerialized) { Return (RTCR (\_SB.PCI0.LPC.RTEC)) }
            Method (_DIS, 0, NotSerialized) { \_SB.PCI0.LPC.RTEC |= 0x80 }
            Method (_SRS, 1, NotSerialized)
            {
                CreateDWordField (Arg0, 0x05, IRQV)
                \_SB.PCI0.LPC.RTEC = IRQV
            }
        }

        Device (LNKD)
        {
            Name (_HID, EisaId ("PNP0C0F"))
            Name (_UID, 3)
            Method (_STA, 0, NotSerialized) { Return (RTST (\_SB.PCI0.LPC.RTED)) }
            Method (_PRS, 0, NotSerialized) { Return (RTPR) }
            Method (_CRS, 0, NotSerialized) { Return (RTCR (\_SB.PCI0.LPC.RTED)) }
            Method (_DIS, 0, NotSerialized) { \_SB.PCI0.LPC.RTED |= 0x80 }
            Method (_SRS, 1, NotSerialized)
            {
                CreateDWordField (Arg0, 0x05, IRQV)
                \_SB.PCI0.LPC.RTED = IRQV
            }
        }

        Device (LNKE)
        {
            Name (_HID, EisaId ("PNP0C0F"))
            Name (_UID, 4)
            Method (_STA, 0, NotSerialized) { Return (RTST (\_SB.PCI0.LPC.RTEE)) }
            Method (_PRS, 0, NotSerialized) { Return (RTPR) }
            Method (_CRS, 0, NotSerialized) { Return (RTCR (\_SB.PCI0.LPC.RTEE)) }
            Method (_DIS, 0, NotSerialized) { \_SB.PCI0.LPC.RTEE |= 0x80 }
            Method (_SRS, 1, NotSerialized)
            {
                CreateDWordField (Arg0, 0x05, IRQV)
                \_SB.PCI0.LPC.RTEE = IRQV
            }
        }

        Device (LNKF)
        {
            Name (_HID, EisaId ("PNP0C0F"))
            Name (_UID, 5)
            Method (_STA, 0, NotSerialized) { Return (RTST (\_SB.PCI0.LPC.RTEF)) }
            Method (_PRS, 0, NotSerialized) { Return (RTPR) }
            Method (_CRS, 0, NotSerialized) { Return (RTCR (\_SB.PCI0.LPC.RTEF)) }
            Method (_DIS, 0, NotSerialized) { \_SB.PCI0.LPC.RTEF |= 0x80 }
            Method (_SRS, 1, NotSerialized)
            {
                CreateDWordField (Arg0, 0x05, IRQV)
                \_SB.PCI0.LPC.RTEF = IRQV
            }
        }

        Device (LNKG)
        {
            Name (_HID, EisaId ("PNP0C0F"))
            Name (_UID, 6)
            Method (_STA, 0, NotSerialized) { Return (RTST (\_SB.PCI0.LPC.RTEG)) }
            Method (_PRS, 0, NotSerialized) { Return (RTPR) }
            Method (_CRS, 0, NotSerialized) { Return (RTCR (\_SB.PCI0.LPC.RTEG)) }
            Method (_DIS, 0, NotSerialized) { \_SB.PCI0.LPC.RTEG |= 0x80 }
            Method (_SRS, 1, NotSerialized)
            {
                CreateDWordField (Arg0, 0x05, IRQV)
                \_SB.PCI0.LPC.RTEG = IRQV
            }
        }

        Device (LNKH)
        {
            Name (_HID, EisaId ("PNP0C0F"))
            Name (_UID, 7)
            Method (_STA, 0, NotSerialized) { Return (RTST (\_SB.PCI0.LPC.RTEH)) }
            Method (_PRS, 0, NotSerialized) { Return (RTPR) }
            Method (_CRS, 0, NotSerialized) { Return (RTCR (\_SB.PCI0.LPC.RTEH)) }
            Method (_DIS, 0, NotSerialized) { \_SB.PCI0.LPC.RTEH |= 0x80 }
            Method (_SRS, 1, NotSerialized)
            {
                CreateDWordField (Arg0, 0x05, IRQV)
                \_SB.PCI0.LPC.RTEH = IRQV
            }
        }
    }
}
