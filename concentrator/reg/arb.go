package reg

// Arbiter MCU: block at 0x6080.
// Names and places as in Semtech's public register map of the SX1302.
const (
	ARBCtrlClkEn                   Field = 0x6080_5_1
	ARBCtrlRadioRst                Field = 0x6080_4_1
	ARBCtrlForceHostFE             Field = 0x6080_3_1
	ARBCtrlMCUClear                Field = 0x6080_2_1
	ARBCtrlHostProg                Field = 0x6080_1_1
	ARBCtrlParityError             Field = 0x6080_0_1 // read-only
	ARBMCUARBStatus                Field = 0x6081_0_8 // read-only
	ARBUARTCfgMsbf                 Field = 0x6087_5_1
	ARBUARTCfgParEn                Field = 0x6087_4_1
	ARBUARTCfgParMode              Field = 0x6087_3_1
	ARBUARTCfgStartLen             Field = 0x6087_2_1
	ARBUARTCfgStopLen              Field = 0x6087_1_1
	ARBUARTCfgWordLen              Field = 0x6087_0_1
	ARBUARTCfg2BitRate             Field = 0x6088_0_8
	ARBDebugCfg0                   Field = 0x6089_0_8
	ARBDebugCfg1                   Field = 0x608A_0_8
	ARBDebugCfg2                   Field = 0x608B_0_8
	ARBDebugCfg3                   Field = 0x608C_0_8
	ARBDebugSts0                   Field = 0x608D_0_8 // read-only
	ARBDebugSts1                   Field = 0x608E_0_8 // read-only
	ARBDebugSts2                   Field = 0x608F_0_8 // read-only
	ARBDebugSts3                   Field = 0x6090_0_8 // read-only
	ARBDebugSts4                   Field = 0x6091_0_8 // read-only
	ARBDebugSts5                   Field = 0x6092_0_8 // read-only
	ARBDebugSts6                   Field = 0x6093_0_8 // read-only
	ARBDebugSts7                   Field = 0x6094_0_8 // read-only
	ARBDebugSts8                   Field = 0x6095_0_8 // read-only
	ARBDebugSts9                   Field = 0x6096_0_8 // read-only
	ARBDebugSts10                  Field = 0x6097_0_8 // read-only
	ARBDebugSts11                  Field = 0x6098_0_8 // read-only
	ARBDebugSts12                  Field = 0x6099_0_8 // read-only
	ARBDebugSts13                  Field = 0x609A_0_8 // read-only
	ARBDebugSts14                  Field = 0x609B_0_8 // read-only
	ARBDebugSts15                  Field = 0x609C_0_8 // read-only
	ARBChannelSyncOffset01Channel1 Field = 0x609D_4_4
	ARBChannelSyncOffset01Channel0 Field = 0x609D_0_4
	ARBChannelSyncOffset23Channel3 Field = 0x609E_4_4
	ARBChannelSyncOffset23Channel2 Field = 0x609E_0_4
	ARBChannelSyncOffset45Channel5 Field = 0x609F_4_4
	ARBChannelSyncOffset45Channel4 Field = 0x609F_0_4
	ARBChannelSyncOffset67Channel7 Field = 0x60A0_4_4
	ARBChannelSyncOffset67Channel6 Field = 0x60A0_0_4
	ARBDummyDummy3                 Field = 0x60A1_0_1 // read-only
)
