package reg

// Radio front end: RSSI filters, DC notch, IQ compensation, signal analyser: block at 0x5700.
// Names and places as in Semtech's public register map of the SX1302.
const (
	RadioFEGlblCtrlDecimBClr                   Field = 0x5700_1_1
	RadioFEGlblCtrlDecimAClr                   Field = 0x5700_0_1
	RadioFECtrl0RadioADCNotchEn                Field = 0x5701_5_1
	RadioFECtrl0RadioAForceHostFilterGain      Field = 0x5701_4_1
	RadioFECtrl0RadioAHostFilterGain           Field = 0x5701_0_4
	RadioFERSSIDbDefRadioARSSIDbDefaultValue   Field = 0x5702_0_8
	RadioFERSSIDecDefRadioARSSIDecDefaultValue Field = 0x5703_0_8
	RadioFERSSIDecRdRadioARSSIDecOut           Field = 0x5704_0_8 // read-only
	RadioFERSSIBbRdRadioARSSIBbOut             Field = 0x5705_0_8 // read-only
	RadioFEDecFilterRdRadioADecFilterGain      Field = 0x5706_0_4 // read-only
	RadioFERSSIBbFilterAlphaRadioA             Field = 0x5707_0_5
	RadioFERSSIDecFilterAlphaRadioA            Field = 0x5708_0_5
	RadioFEIQCompAmpCoeffRadioA                Field = 0x5709_0_6
	RadioFEIQCompPhiCoeffRadioA                Field = 0x570A_0_6
	RadioFERadioDioTestModeRadioA              Field = 0x570B_0_6
	RadioFERadioDioTestDirRadioA               Field = 0x570C_0_6
	RadioFERadioDioDirRadioA                   Field = 0x570D_0_6 // read-only
	RadioFECtrl0RadioBDCNotchEn                Field = 0x570E_5_1
	RadioFECtrl0RadioBForceHostFilterGain      Field = 0x570E_4_1
	RadioFECtrl0RadioBHostFilterGain           Field = 0x570E_0_4
	RadioFERSSIDbDefRadioBRSSIDbDefaultValue   Field = 0x570F_0_8
	RadioFERSSIDecDefRadioBRSSIDecDefaultValue Field = 0x5710_0_8
	RadioFERSSIDecRdRadioBRSSIDecOut           Field = 0x5711_0_8 // read-only
	RadioFERSSIBbRdRadioBRSSIBbOut             Field = 0x5712_0_8 // read-only
	RadioFEDecFilterRdRadioBDecFilterGain      Field = 0x5713_0_4 // read-only
	RadioFERSSIBbFilterAlphaRadioB             Field = 0x5714_0_5
	RadioFERSSIDecFilterAlphaRadioB            Field = 0x5715_0_5
	RadioFEIQCompAmpCoeffRadioB                Field = 0x5716_0_6
	RadioFEIQCompPhiCoeffRadioB                Field = 0x5717_0_6
	RadioFERadioDioTestModeRadioB              Field = 0x5718_0_6
	RadioFERadioDioTestDirRadioB               Field = 0x5719_0_6
	RadioFERadioDioDirRadioB                   Field = 0x571A_0_6 // read-only
	RadioFESigAnaCfgValid                      Field = 0x571B_7_1 // read-only
	RadioFESigAnaCfgBusy                       Field = 0x571B_6_1 // read-only
	RadioFESigAnaCfgDuration                   Field = 0x571B_4_2
	RadioFESigAnaCfgForceHalCtrl               Field = 0x571B_3_1
	RadioFESigAnaCfgStart                      Field = 0x571B_2_1
	RadioFESigAnaCfgRadioSel                   Field = 0x571B_1_1
	RadioFESigAnaCfgEn                         Field = 0x571B_0_1
	RadioFESigAnaFreq                          Field = 0x571C_0_8
	RadioFESigAnaAbsMSBCorrAbsOut              Field = 0x571D_0_8 // read-only
	RadioFESigAnaAbsLSBCorrAbsOut              Field = 0x571E_0_8 // read-only
	RadioFEDummy                               Field = 0x571F_0_1 // read-only
)
