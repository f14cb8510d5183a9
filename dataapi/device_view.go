package dataapi

import (
	"cmp"
	"encoding/hex"

	"gatewayd/nsedge"
	"gatewayd/radio"
)

// deviceView is a device as the Management API shows it. Device keys are
// there only for those who may see them.
type deviceView struct {
	DevEUI     radio.EUI64 `json:"dev_eui"`
	AppEUI     radio.EUI64 `json:"app_eui"`
	Tags       []string    `json:"tags"`
	Activation string      `json:"activation"`
	Encryption string      `json:"encryption"`
	DevAddr    *string     `json:"dev_addr"`
	Class      string      `json:"dev_class"`
	Band       string      `json:"band"`
	Org        string      `json:"org"`

	AppKey  *string `json:"app_key,omitempty"`
	NwkKey  *string `json:"nwk_key,omitempty"`
	NwkSKey *string `json:"nwkskey,omitempty"`
	AppSKey *string `json:"appskey,omitempty"`

	CountersSize  int    `json:"counters_size"`
	CounterUp     uint32 `json:"counter_up"`
	CounterDown   uint32 `json:"counter_down"`
	StrictCounter bool   `json:"strict_counter"`
	Policy        string `json:"policy"`          // strict, relaxed, lab
	Version       string `json:"lorawan_version"` // 1.0.0 to 1.0.4, 1.1
	MAC           string `json:"mac"`             // auto, hands-off

	ADR           adrView       `json:"adr"`
	RX1           rx1View       `json:"rx1"`
	RX2           rx2View       `json:"rx2"`
	BlockUplink   bool          `json:"block_uplink"`
	BlockDownlink bool          `json:"block_downlink"`
	Geolocation   *positionView `json:"geolocation"`

	LastActivity *int64 `json:"last_activity"`
	LastJoin     *int64 `json:"last_join"`

	radioView
	view11
	classBView
}

type adrView struct {
	Mode     string `json:"mode"`
	Enabled  bool   `json:"enabled"`
	DataRate *int   `json:"datarate"`
	TXPower  *int   `json:"tx_power"`
}

// rx1View: a delay of 0 is the region's. The status is synced once the device
// uses it, pending before, unknown without a session.
type rx1View struct {
	Delay  int  `json:"delay"`
	Offset *int `json:"offset,omitempty"`

	Status  string `json:"status"`
	Current *int   `json:"current_delay"`
}

type rx2View struct {
	Force    bool   `json:"force"`
	DataRate *int   `json:"datarate,omitempty"`
	Freq     uint32 `json:"freq,omitempty"` // Hz
}

type positionView struct {
	Lat       float64 `json:"lat"`
	Lng       float64 `json:"lng"`
	Precision int     `json:"precision"`
}

// viewDevice shows a device of the one organisation.
func viewDevice(d *nsedge.Device, org string, secrets bool) deviceView {
	v := deviceView{
		DevEUI: d.DevEUI, AppEUI: d.AppEUI, Tags: d.Tags, Activation: string(d.Activation), Encryption: string(d.Encryption),
		Class: d.Class, Band: d.Band, Org: org,
		CountersSize: d.CountersSize, CounterUp: d.CounterUp, CounterDown: d.CounterDown, StrictCounter: d.StrictCounter,
		Policy: string(d.Policy), Version: d.Version, MAC: cmp.Or(d.MAC, "auto"),
		ADR:         adrView{d.ADR.Mode, d.ADR.Mode != "off", d.ADR.DataRate, d.ADR.TXPower},
		RX1:         viewRX1(d),
		RX2:         rx2View{d.RX2Force, d.RX2DataRate, uint32(d.RX2Freq)},
		BlockUplink: d.BlockUplink, BlockDownlink: d.BlockDownlink,
		LastActivity: unixOrNull(d.LastActivity), LastJoin: unixOrNull(d.LastJoin),
		radioView: viewRadio(d), view11: view11Of(d, secrets), classBView: viewClassB(d),
	}
	if v.Tags == nil {
		v.Tags = []string{}
	}
	if d.DevAddr != nil {
		v.DevAddr = new(d.DevAddr.String())
	}
	if g := d.Geolocation; g != nil {
		v.Geolocation = &positionView{g.Lat, g.Lng, g.Precision}
	}
	if secrets {
		v.AppKey, v.NwkKey, v.NwkSKey, v.AppSKey = keyText(d.AppKey), keyText(d.NwkKey), keyText(d.NwkSKey), keyText(d.AppSKey)
	}
	return v
}

func viewRX1(d *nsedge.Device) rx1View {
	v := rx1View{Delay: d.RX1Delay, Offset: d.RX1Offset, Status: "unknown"}
	if d.RX1Current == 0 {
		return v
	}
	v.Status, v.Current = "pending", &d.RX1Current
	if d.RX1Delay == 0 || d.RX1Delay == d.RX1Current {
		v.Status = "synced"
	}
	return v
}

func keyText(k *nsedge.Key) *string {
	if k == nil {
		return nil
	}
	return new(hex.EncodeToString(k[:]))
}
