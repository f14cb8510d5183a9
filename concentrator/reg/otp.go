package reg

// One-time programmable memory and modem clock gates: block at 0x6180.
// Names and places as in Semtech's public register map of the SX1302.
const (
	OTPByteAddr       Field = 0x6180_0_8
	OTPRdData         Field = 0x6181_0_8 // read-only
	OTPStatusChecksum Field = 0x6182_4_4 // read-only
	OTPStatusFsmReady Field = 0x6182_0_1 // read-only
	OTPCfgAccessMode  Field = 0x6183_0_2
	OTPBitPos         Field = 0x6184_0_3
	OTPPinCtrl0Tm     Field = 0x6185_4_4
	OTPPinCtrl0Strobe Field = 0x6185_3_1
	OTPPinCtrl0Pgenb  Field = 0x6185_2_1
	OTPPinCtrl0Load   Field = 0x6185_1_1
	OTPPinCtrl0Csb    Field = 0x6185_0_1
	OTPPinCtrl1Fsck   Field = 0x6186_2_1
	OTPPinCtrl1Fsi    Field = 0x6186_1_1
	OTPPinCtrl1Frst   Field = 0x6186_0_1
	OTPPinStatusFso   Field = 0x6187_0_1 // read-only
	OTPModemEn0       Field = 0x6188_0_8
	OTPModemEn1       Field = 0x6189_0_8
	OTPModemSFEn      Field = 0x618A_0_8
	OTPTimestampEn    Field = 0x618B_0_1
	OTPDummy          Field = 0x618C_0_1 // read-only
)
