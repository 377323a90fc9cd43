/* Registers of the 82574L (datasheet chapter 10) and the 82540EM (manual chapter 13), by their names there. */
#pragma once

#define CTRL 0x00000
#define CTRL_LRST (1u << 3)
#define CTRL_SLU (1u << 6)
#define CTRL_RST (1u << 26)
#define CTRL_VME (1u << 30)
#define CTRL_PHY_RST (1u << 31)
#define CTRL_DUP 0x00004
#define STATUS 0x00008
#define STATUS_FD (1u << 0)
#define STATUS_LU (1u << 1)
#define STATUS_SPEED_1000 (2u << 6)
#define STATUS_ASDV_1000 (2u << 8)
#define STATUS_PHYRA (1u << 10)
#define STATUS_PCI66 (1u << 11)
#define STATUS_MASTER_ENABLE (1u << 19)
#define EEC 0x00010 /* EECD of the 82540EM */
#define EEC_SK (1u << 0)
#define EEC_CS (1u << 1)
#define EEC_DI (1u << 2)
#define EEC_DO (1u << 3)
#define EEC_REQ (1u << 6)
#define EEC_GNT (1u << 7)
#define EEC_PRES (1u << 8)
#define EEC_AUTO_RD (1u << 9)
#define EERD 0x00014
#define CTRL_EXT 0x00018
#define CTRL_EXT_EE_RST (1u << 13)
#define CTRL_EXT_IAME (1u << 27)
#define CTRL_EXT_EIAME (1u << 24)
#define CTRL_EXT_PBA_CLR (1u << 31)
#define FLA 0x0001C
#define MDIC 0x00020
#define MDIC_OP_WRITE (1u << 26)
#define MDIC_OP_READ (2u << 26)
#define MDIC_R (1u << 28)
#define MDIC_I (1u << 29)
#define MDIC_E (1u << 30)
#define FCAL 0x00028
#define FCAH 0x0002C
#define FCT 0x00030
#define VET 0x00038
#define ICR 0x000C0
#define ICR_TXDW (1u << 0)
#define ICR_TXQE (1u << 1)
#define ICR_LSC (1u << 2)
#define ICR_RXDMT0 (1u << 4)
#define ICR_RXO (1u << 6)
#define ICR_RXT0 (1u << 7)
#define ICR_MDAC (1u << 9)
#define ICR_TXD_LOW (1u << 15)
#define ICR_RXQ0 (1u << 20)
#define ICR_RXQ1 (1u << 21)
#define ICR_TXQ0 (1u << 22)
#define ICR_TXQ1 (1u << 23)
#define ICR_OTHER (1u << 24)
#define ICR_INT_ASSERTED (1u << 31)
#define ITR 0x000C4
#define ICS 0x000C8
#define IMS 0x000D0
#define IMC 0x000D8
#define EIAC 0x000DC
#define IAM 0x000E0
#define IVAR 0x000E4
#define IVAR_TX_EVERY (1u << 31)
#define EITR 0x000E8 /* 5 */
#define RCTL 0x00100
#define RCTL_EN (1u << 1)
#define RCTL_UPE (1u << 3)
#define RCTL_MPE (1u << 4)
#define RCTL_LPE (1u << 5)
#define RCTL_LBM (3u << 6)
#define RCTL_RDMTS_SHIFT 8
#define RCTL_DTYP_SPLIT (1u << 10)
#define RCTL_MO_SHIFT 12
#define RCTL_BAM (1u << 15)
#define RCTL_BSIZE_SHIFT 16
#define RCTL_VFE (1u << 18)
#define RCTL_BSEX (1u << 25)
#define RCTL_SECRC (1u << 26)
#define RCTL_FLXBUF_SHIFT 27
#define FCTTV 0x00170
#define TCTL 0x00400
#define TCTL_EN (1u << 1)
#define TCTL_EXT 0x00404
#define TIPG 0x00410
#define AIT 0x00458
#define LEDCTL 0x00E00
#define EXTCNF_CTRL 0x00F00
#define EXTCNF_CTRL_MDIO_SW (1u << 5)
#define EXTCNF_SIZE 0x00F08
#define PBA 0x01000
#define PBS 0x01008
#define EEMNGCTL 0x01010
#define EEMNGCTL_CFG_DONE (1u << 18)
#define EEARBC 0x01024
#define FLASHT 0x01028
#define EEWR 0x0102C
#define FLSWCTL 0x01030
#define FLOP 0x0103C
#define ERT 0x02008
#define FCRTL 0x02160
#define FCRTH 0x02168
#define PSRCTL 0x02170
#define RDBAL 0x02800 /* receive queue 0; queue 1 at + QUEUE_STRIDE, and so on */
#define RDBAH 0x02804
#define RDLEN 0x02808
#define RDH 0x02810
#define RDT 0x02818
#define RDTR 0x02820
#define RXDCTL 0x02828
#define RADV 0x0282C
#define QUEUE_STRIDE 0x100
#define RSRPD 0x02C00
#define RAID 0x02C08
#define CPUVEC 0x02C10
#define TDBAL 0x03800
#define TDBAH 0x03804
#define TDLEN 0x03808
#define TDH 0x03810
#define TDT 0x03818
#define TIDV 0x03820
#define TXDCTL 0x03828
#define TADV 0x0382C
#define TARC 0x03840
#define STATISTICS 0x04000
#define STATISTICS_END 0x04128
#define MPC 0x04010
#define PRC64 0x0405C /* PRC64, 127, 255, 511, 1023, 1522 */
#define GPRC 0x04074
#define BPRC 0x04078
#define MPRC 0x0407C
#define GPTC 0x04080
#define GORCL 0x04088
#define GOTCL 0x04090
#define RNBC 0x040A0
#define ROC 0x040AC
#define TORL 0x040C0
#define TOTL 0x040C8
#define TPR 0x040D0
#define TPT 0x040D4
#define PTC64 0x040D8 /* as PRC64 */
#define MPTC 0x040F0
#define BPTC 0x040F4
#define TSCTC 0x040F8
#define RXCSUM 0x05000
#define RXCSUM_IPOFLD (1u << 8)
#define RXCSUM_TUOFLD (1u << 9)
#define RXCSUM_PCSD (1u << 13)
#define RFCTL 0x05008
#define RFCTL_EXSTEN (1u << 15)
#define MTA 0x05200
#define RAL 0x05400
#define RAH 0x05404
#define RAH_AV (1u << 31)
#define VFTA 0x05600
#define WUC 0x05800
#define WUFC 0x05808
#define WUS 0x05810
#define MRQC 0x05818
#define MANC 0x05820
#define IPAV 0x05838
#define IP4AT 0x05840
#define IP6AT 0x05880
#define WUPL 0x05900
#define FFLT 0x05F00
#define FFMT 0x09000
#define FFVT 0x09800
#define GCR 0x05B00
#define GCR_L0S_ADJUST (1u << 9)
#define FACTPS 0x05B30
#define SWSM 0x05B50
#define SWSM_SMBI (1u << 0)
#define SWSM_SWESMBI (1u << 1)
#define FWSM 0x05B54
#define SWSM2 0x05B58
#define SW_FW_SYNC 0x05B5C
#define GCR2 0x05B64
#define RETA 0x05C00
#define RSSRK 0x05C80
#define SYSTIML 0x0B600
#define SYSTIMH 0x0B604
#define TIMINCA 0x0B608
#define TSYNCTXCTL 0x0B614
#define TSYNCRXCTL 0x0B620
#define REGISTERS_SIZE 0x20000

/* Transmit descriptors (datasheet section 7.2). */
#define TXD_SIZE 16u
#define TXD_CMD_EOP (1u << 24)
#define TXD_CMD_IFCS (1u << 25)
#define TXD_CMD_IC (1u << 26)  /* legacy: insert a checksum */
#define TXD_CMD_TSE (1u << 26) /* extended: segment */
#define TXD_CMD_RS (1u << 27)
#define TXD_CMD_DEXT (1u << 29)
#define TXD_CMD_VLE (1u << 30)
#define TXD_CMD_IDE (1u << 31)
#define TXD_DTYP(lower) ((lower) >> 20 & 15)
#define TXD_DTYP_CONTEXT 0
#define TXD_DTYP_DATA 1
#define TXD_TUCMD_TCP (1u << 24)
#define TXD_TUCMD_IP (1u << 25)
#define TXD_POPTS_IXSM (1u << 0)
#define TXD_POPTS_TXSM (1u << 1)
#define TXD_STATUS_DD 1u

/* Receive descriptors (section 7.1). */
#define RXD_SIZE 16u
#define RXD_SPLIT_SIZE 32u
#define RXD_STATUS_DD (1u << 0)
#define RXD_STATUS_EOP (1u << 1)
#define RXD_STATUS_IXSM (1u << 2)
#define RXD_STATUS_VP (1u << 3)
#define RXD_STATUS_UDPCS (1u << 4)
#define RXD_STATUS_TCPCS (1u << 5)
#define RXD_STATUS_IPCS (1u << 6)
#define RXD_STATUS_PIF (1u << 7)
