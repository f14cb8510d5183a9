package reg

// Page, radio mode and clock, modem enables, version: block at 0x5600.
// Names and places as in Semtech's public register map of the SX1302.
const (
	CommonPage                       Field = 0x5600_0_2
	CommonCtrl0Clk32RifCtrl          Field = 0x5601_4_1
	CommonCtrl0HostRadioCtrl         Field = 0x5601_3_1
	CommonCtrl0RadioMiscEn           Field = 0x5601_2_1
	CommonCtrl0SX1261ModeRadioB      Field = 0x5601_1_1
	CommonCtrl0SX1261ModeRadioA      Field = 0x5601_0_1
	CommonCtrl1SwapIQRadioB          Field = 0x5602_3_1
	CommonCtrl1SamplingEdgeRadioB    Field = 0x5602_2_1
	CommonCtrl1SwapIQRadioA          Field = 0x5602_1_1
	CommonCtrl1SamplingEdgeRadioA    Field = 0x5602_0_1
	CommonSPIDivRatioSPIHalfPeriod   Field = 0x5603_0_8
	CommonRadioSelect                Field = 0x5604_0_8
	CommonGenGlobalEn                Field = 0x5605_3_1
	CommonGenFSKModemEnable          Field = 0x5605_2_1
	CommonGenConcentratorModemEnable Field = 0x5605_1_1
	CommonGenMBWSSFModemEnable       Field = 0x5605_0_1
	CommonVersion                    Field = 0x5606_0_8 // read-only
	CommonDummy                      Field = 0x5607_0_1 // read-only
)
