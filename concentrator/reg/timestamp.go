package reg

// PPS control and the 32 MHz counters: block at 0x6100.
// Names and places as in Semtech's public register map of the SX1302.
const (
	TimestampGPSCtrlGPSPol Field = 0x6100_1_1
	TimestampGPSCtrlGPSEn  Field = 0x6100_0_1
	TimestampPPSMsb2       Field = 0x6101_0_8 // read-only
	TimestampPPSMsb1       Field = 0x6102_0_8 // read-only
	TimestampPPSLsb2       Field = 0x6103_0_8 // read-only
	TimestampPPSLsb1       Field = 0x6104_0_8 // read-only
	TimestampMsb2          Field = 0x6105_0_8 // read-only
	TimestampMsb1          Field = 0x6106_0_8 // read-only
	TimestampLsb2          Field = 0x6107_0_8 // read-only
	TimestampLsb1          Field = 0x6108_0_8 // read-only
	TimestampSet3          Field = 0x6109_0_8
	TimestampSet2          Field = 0x610A_0_8
	TimestampSet1          Field = 0x610B_0_8
	TimestampSet0          Field = 0x610C_0_8
	TimestampIrq3          Field = 0x610D_0_8
	TimestampIrq2          Field = 0x610E_0_8
	TimestampIrq1          Field = 0x610F_0_8
	TimestampIrq0          Field = 0x6110_0_8
	TimestampDummy         Field = 0x6111_0_1 // read-only
)
