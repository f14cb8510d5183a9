package reg

// General purpose pins: block at 0x5640.
// Names and places as in Semtech's public register map of the SX1302.
const (
	GPIODirHDirection              Field = 0x5640_0_4
	GPIODirLDirection              Field = 0x5641_0_8
	GPIOOutHOutValue               Field = 0x5642_0_4
	GPIOOutLOutValue               Field = 0x5643_0_8
	GPIOInHInValue                 Field = 0x5644_0_4 // read-only
	GPIOInLInValue                 Field = 0x5645_0_8 // read-only
	GPIOPdHPdValue                 Field = 0x5646_0_4
	GPIOPdLPdValue                 Field = 0x5647_0_8
	GPIOSel0Selection              Field = 0x5648_0_4
	GPIOSel1Selection              Field = 0x5649_0_4
	GPIOSel2Selection              Field = 0x564A_0_4
	GPIOSel3Selection              Field = 0x564B_0_4
	GPIOSel4Selection              Field = 0x564C_0_4
	GPIOSel5Selection              Field = 0x564D_0_4
	GPIOSel6Selection              Field = 0x564E_0_4
	GPIOSel7Selection              Field = 0x564F_0_4
	GPIOSel811GPIO119              Field = 0x5650_1_4
	GPIOSel811GPIO8                Field = 0x5650_0_1
	GPIOHostIrqTXTimeoutB          Field = 0x5651_5_1
	GPIOHostIrqTXTimeoutA          Field = 0x5651_4_1
	GPIOHostIrqTXDoneB             Field = 0x5651_3_1
	GPIOHostIrqTXDoneA             Field = 0x5651_2_1
	GPIOHostIrqTimestamp           Field = 0x5651_1_1
	GPIOHostIrqRXBufferWatermark   Field = 0x5651_0_1
	GPIOHostIrqEnTXTimeoutB        Field = 0x5652_5_1
	GPIOHostIrqEnTXTimeoutA        Field = 0x5652_4_1
	GPIOHostIrqEnTXDoneB           Field = 0x5652_3_1
	GPIOHostIrqEnTXDoneA           Field = 0x5652_2_1
	GPIOHostIrqEnTimestamp         Field = 0x5652_1_1
	GPIOHostIrqEnRXBufferWatermark Field = 0x5652_0_1
	GPIODummy                      Field = 0x5653_0_1 // read-only
)
