package reg

// Clock selection: block at 0x57C0.
// Names and places as in Semtech's public register map of the SX1302.
const (
	ClkSelClkdivEn  Field = 0x57C0_2_1
	ClkSelClkRadioB Field = 0x57C0_1_1
	ClkSelClkRadioA Field = 0x57C0_0_1
	ClkDummy        Field = 0x57C1_3_1 // read-only
)
