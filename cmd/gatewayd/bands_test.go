package main

import (
	"net/http"
	"testing"

	"gatewayd/nsedge/region"
)

// Names from the contract: the specification's, and Everynet's.
func TestEveryBandIsServedByItsNames(t *testing.T) {
	config, _ := stateConfig(t)
	cfg, err := loadForTest(config)
	if err != nil {
		t.Fatal(err)
	}
	a, err := openAPI(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.close() }()
	type band struct {
		Name     string
		Channels []struct {
			Freq      float64
			DataRates []int
		}
		DataRates []struct{ Name string }
	}
	var list struct{ Bands []band }
	if err := a.call(t.Context(), http.MethodGet, "/bands", nil, nil, &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Bands) != len(region.Names()) {
		t.Errorf("%d bands, %d regions", len(list.Bands), len(region.Names()))
	}
	for _, name := range []string{"EU863-870", "US902-928", "AU915-928", "AS923-1", "AS923-4", "AS923", "IN865-867", "KR920-923", "RU864-870", "CN470-510", "EU433", "LA915-928A", "us915-2"} {
		var one struct{ Band band }
		if err := a.call(t.Context(), http.MethodGet, "/bands/"+name, nil, nil, &one); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if b := one.Band; len(b.Channels) == 0 || len(b.Channels[0].DataRates) == 0 || b.Channels[0].Freq < 400 || len(b.DataRates) == 0 {
			t.Errorf("%s: %+v", name, b)
		}
	}
	if err := a.call(t.Context(), http.MethodGet, "/bands/MARS", nil, nil, nil); err == nil {
		t.Error("MARS is a band")
	}
}
