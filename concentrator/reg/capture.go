package reg

// Capture RAM: block at 0x6000.
// Names and places as in Semtech's public register map of the SX1302.
const (
	CaptureCfgEnable               Field = 0x6000_4_1
	CaptureCfgCapturewrap          Field = 0x6000_3_1
	CaptureCfgCaptureforcetrigger  Field = 0x6000_2_1
	CaptureCfgCapturestart         Field = 0x6000_1_1
	CaptureCfgRamconfig            Field = 0x6000_0_1
	CaptureSourceASourcemux        Field = 0x6001_0_5
	CaptureSourceBSourcemux        Field = 0x6002_0_5
	CapturePeriod0Captureperiod    Field = 0x6003_0_8
	CapturePeriod1Captureperiod    Field = 0x6004_0_8
	CaptureStatusCapcomplete       Field = 0x6005_0_1 // read-only
	CaptureLastRamAddr0Lastramaddr Field = 0x6006_0_8 // read-only
	CaptureLastRamAddr1Lastramaddr Field = 0x6007_0_4 // read-only
	CaptureClockGateOverrideClk    Field = 0x6008_0_2
	CaptureDummy0                  Field = 0x6009_0_1 // read-only
)
