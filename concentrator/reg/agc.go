package reg

// AGC MCU: control, radio enables and resets, PA/LNA tables, mailboxes: block at 0x5780.
// Names and places as in Semtech's public register map of the SX1302.
const (
	AGCCtrlClkEn             Field = 0x5780_4_1
	AGCCtrlForceHostFE       Field = 0x5780_3_1
	AGCCtrlMCUClear          Field = 0x5780_2_1
	AGCCtrlHostProg          Field = 0x5780_1_1
	AGCCtrlParityError       Field = 0x5780_0_1 // read-only
	AGCMCUAGCStatus          Field = 0x5781_0_8 // read-only
	AGCPAGainPAB             Field = 0x5782_2_2
	AGCPAGainPAA             Field = 0x5782_0_2
	AGCRFEnARadioRst         Field = 0x5783_3_1
	AGCRFEnARadio            Field = 0x5783_2_1
	AGCRFEnAPA               Field = 0x5783_1_1
	AGCRFEnALNA              Field = 0x5783_0_1
	AGCRFEnBRadioRst         Field = 0x5784_3_1
	AGCRFEnBRadio            Field = 0x5784_2_1
	AGCRFEnBPA               Field = 0x5784_1_1
	AGCRFEnBLNA              Field = 0x5784_0_1
	AGCLUTTableAPA           Field = 0x5785_4_4
	AGCLUTTableALNA          Field = 0x5785_0_4
	AGCLUTTableBPA           Field = 0x5786_4_4
	AGCLUTTableBLNA          Field = 0x5786_0_4
	AGCUARTCfgMsbf           Field = 0x5787_5_1
	AGCUARTCfgParEn          Field = 0x5787_4_1
	AGCUARTCfgParMode        Field = 0x5787_3_1
	AGCUARTCfgStartLen       Field = 0x5787_2_1
	AGCUARTCfgStopLen        Field = 0x5787_1_1
	AGCUARTCfgWordLen        Field = 0x5787_0_1
	AGCUARTCfg2BitRate       Field = 0x5788_0_8
	AGCMCUMailBoxWrDataByte3 Field = 0x5789_0_8
	AGCMCUMailBoxWrDataByte2 Field = 0x578A_0_8
	AGCMCUMailBoxWrDataByte1 Field = 0x578B_0_8
	AGCMCUMailBoxWrDataByte0 Field = 0x578C_0_8
	AGCMCUMailBoxRdDataByte3 Field = 0x578D_0_8 // read-only
	AGCMCUMailBoxRdDataByte2 Field = 0x578E_0_8 // read-only
	AGCMCUMailBoxRdDataByte1 Field = 0x578F_0_8 // read-only
	AGCMCUMailBoxRdDataByte0 Field = 0x5790_0_8 // read-only
	AGCDummyDummy3           Field = 0x5791_0_1 // read-only
)
