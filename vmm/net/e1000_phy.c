/* The PHY behind MDIC (IEEE 802.3 clause 22, and Marvell's status registers) and the EEPROM. */
#include "e1000_internal.h"

#define BMCR 0
#define BMCR_RESET 0x8000
#define BMCR_RESTART 0x0200
#define BMSR 1
#define BMSR_LINK 0x0004
#define BMSR_NEGOTIATED 0x0020
#define PHYSID1 2
#define PHYSID2 3
#define ANAR 4
#define ANLPAR 5
#define ANER 6
#define GBCR 9
#define GBSR 10
#define ESTATUS 15
#define PSCR 16 /* PHY specific control and status */
#define PSSR 17
#define PSSR_LINK 0x0400

#define PHY_ADDRESS 1
#define CHECKSUM_WORD 63
#define CHECKSUM 0xBABA /* of words 0 to 63, section 6.1.3.2 */

static const struct {
	uint16_t reset, writable;
} phy_registers[PHY_REGISTERS] = {
	[BMCR] = { 0x1140, 0x7DC0 },
	[BMSR] = { 0x7949, 0 },
	[ANAR] = { 0x0DE1, 0xFFFF },
	[ANLPAR] = { 0x45E1, 0 },
	[ANER] = { 0x0001, 0 },
	[7] = { 0x2001, 0xFFFF },
	[GBCR] = { 0x0E00, 0xFFFF },
	[GBSR] = { 0x3C00, 0 },
	[ESTATUS] = { 0x3000, 0 },
	[PSCR] = { 0x0360, 0xFFFF },
	[PSSR] = { 0xA800, 0 }, /* 1000 Mb/s, full duplex, resolved */
	[18] = { 0, 0xFFFF },
	[20] = { 0x0D60, 0xFFFF },
	[22] = { 0, 0xFFFF }, /* pages: what is on others is not told apart */
	[24] = { 0x4100, 0xFFFF },
	[29] = { 0, 0xFFFF },
	[30] = { 0, 0xFFFF },
	[31] = { 0, 0xFFFF },
};

void e1000_phy_link(struct e1000 *e1000)
{
	uint32_t *status = e1000_register(e1000, STATUS);

	e1000->phy[BMSR] &= (uint16_t)~(BMSR_LINK | BMSR_NEGOTIATED);
	e1000->phy[PSSR] &= (uint16_t)~PSSR_LINK;
	*status &= ~STATUS_LU;
	if (!e1000->link)
		return;
	e1000->phy[BMSR] |= BMSR_LINK | BMSR_NEGOTIATED;
	e1000->phy[PSSR] |= PSSR_LINK;
	*status |= STATUS_LU;
}

void e1000_phy_reset(struct e1000 *e1000)
{
	for (unsigned i = 0; i < PHY_REGISTERS; i++)
		e1000->phy[i] = phy_registers[i].reset;
	e1000->phy[PHYSID1] = 0x0141;
	e1000->phy[PHYSID2] = is_82574(e1000) ? 0x0CB1 : 0x0C20;
	e1000_phy_link(e1000);
}

static void phy_write(struct e1000 *e1000, unsigned index, uint16_t value)
{
	uint16_t writable = phy_registers[index].writable;

	if (index == BMCR && value & BMCR_RESET) {
		e1000_phy_reset(e1000);
		value = e1000->phy[BMCR];
	}
	e1000->phy[index] = (uint16_t)((e1000->phy[index] & ~writable) | (value & writable));
	if (index != BMCR || !(value & BMCR_RESTART))
		return;
	/* Both ends agree at once. */
	e1000->phy[BMCR] &= (uint16_t)~BMCR_RESTART;
	e1000_phy_link(e1000);
	if (e1000->link)
		e1000_raise(e1000, ICR_LSC);
}

/* Section 10.2.2.7. */
void e1000_mdic_written(struct e1000 *e1000)
{
	uint32_t *mdic = e1000_register(e1000, MDIC), value = *mdic;
	unsigned index = value >> 16 & 31;

	if (value & MDIC_R || !(value & (MDIC_OP_READ | MDIC_OP_WRITE)))
		return;
	if ((value >> 21 & 31) != PHY_ADDRESS)
		value |= MDIC_E;
	else if (value & MDIC_OP_READ)
		value = (value & 0xFFFF0000) | e1000->phy[index];
	else
		phy_write(e1000, index, (uint16_t)value);
	*mdic = value | MDIC_R;
	if (value & MDIC_I)
		e1000_raise(e1000, ICR_MDAC);
}

/* --- The EEPROM: section 6.1, and of the 82540EM section 5.6 --- */

static const uint16_t nvm_82574[NVM_WORDS] = {
	[0x03] = 0x0420, 0xF746, 0x2010, 0xFFFF,
	[0x0A] = 0x026B, 0, 0x8086, 0x10D3, 0xFFFF, 0x8058, 0, 0x2001, 0x7E7C, 0xFFFF, 0x1000, 0x00C8, 0, 0x2704,
		 0x6CC9, 0x3150, 0x070E, 0x460B, 0x2D84, 0x0100, 0xF000, 0x0706, 0x6000, 0x7100, 0x1408, 0xFFFF,
};
static const uint16_t nvm_82540[NVM_WORDS] = {
	[0x03] = 0x0420, 0x0200, 0x0210, 0xFFFF,
	[0x0A] = 0x640B, 0x001E, 0x8086, 0x100E, 0x8086, 0x3040, 0x0008, 0x2000, 0x7E14, 0x0048, 0x1000, 0x00D8,
		 0x0000, 0x2700, 0x6CC9, 0x3150, 0x0722, 0x040B, 0x0984, 0, 0xC000, 0x0706, [0x2F] = 0xFFFF,
};

void e1000_nvm_init(struct e1000 *e1000)
{
	uint16_t sum = 0;

	memcpy(e1000->nvm, is_82574(e1000) ? nvm_82574 : nvm_82540, sizeof e1000->nvm);
	for (unsigned i = 0; i < 3; i++)
		e1000->nvm[i] = (uint16_t)(e1000->mac[2 * i] | e1000->mac[2 * i + 1] << 8);
	for (unsigned i = 0; i < CHECKSUM_WORD; i++)
		sum = (uint16_t)(sum + e1000->nvm[i]);
	e1000->nvm[CHECKSUM_WORD] = (uint16_t)(CHECKSUM - sum);
}

/* The models differ in where the bits are: address at 2 and DONE at 1, or at 8 and 4. */
void e1000_eerd_written(struct e1000 *e1000)
{
	uint32_t *eerd = e1000_register(e1000, EERD);
	unsigned shift = is_82574(e1000) ? 2 : 8, address = *eerd >> shift & (is_82574(e1000) ? 0x3FFF : 0xFF);

	if (!(*eerd & 1))
		return;
	*eerd = address << shift | (is_82574(e1000) ? 2 : 0x10) |
		(uint32_t)(address < NVM_WORDS ? e1000->nvm[address] : 0xFFFF) << 16;
}

#define MICROWIRE_START 4u     /* the first bit of a command */
#define MICROWIRE_READ 6u      /* start bit and opcode */
#define MICROWIRE_COMMAND 9u   /* start bit, opcode, 6 bits of address */

/* Section 5.6.1: a bit on each rising edge of SK while CS is high, and 16 bits back after a read command. */
void e1000_eec_written(struct e1000 *e1000, uint32_t before)
{
	uint32_t *eec = e1000_register(e1000, EEC);

	*eec &= ~(EEC_GNT | EEC_DO);
	*eec |= *eec & EEC_REQ ? EEC_GNT : 0;
	if (is_82574(e1000))
		return;
	if (!(*eec & EEC_CS)) {
		e1000->microwire_bits = e1000->microwire_in = 0;
		e1000->microwire_out = UINT32_MAX;
	} else if (*eec & ~before & EEC_SK) {
		e1000->microwire_out = e1000->microwire_out << 1 | 1;
		if (e1000->microwire_bits || *eec & EEC_DI) {
			e1000->microwire_in = e1000->microwire_in << 1 | (*eec & EEC_DI ? 1 : 0);
			e1000->microwire_bits++;
		}
		if (e1000->microwire_bits == MICROWIRE_COMMAND && e1000->microwire_in >> 6 == MICROWIRE_READ)
			/* A zero comes first, at the end of the command. */
			e1000->microwire_out = (uint32_t)e1000->nvm[e1000->microwire_in % NVM_WORDS] << 15 | 0x7FFF;
		e1000->microwire_bits = MIN(e1000->microwire_bits, 64);
	}
	if (e1000->microwire_out & 1u << 31)
		*eec |= EEC_DO;
}
