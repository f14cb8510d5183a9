package dataapi

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"gatewayd/dataapi/apidoc"
	"gatewayd/radio"
)

const framesPath = root + "/radio/frames"

// watchAir opens the stream; lines are what comes.
func (r *rig) watchAir() (lines *bufio.Scanner, status int, end func()) {
	r.Helper()
	ctx, cancel := context.WithCancel(r.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://gateway"+framesPath+"?access_token="+r.token, nil)
	if err != nil {
		r.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DialContext: r.pipes.Dial, DisableKeepAlives: true}}
	res, err := client.Do(req) //nolint:bodyclose // the caller's, by the returned function
	if err != nil {
		r.Fatal(err)
	}
	return bufio.NewScanner(res.Body), res.StatusCode, func() { cancel(); res.Body.Close() }
}

// frameSchema is that of the document.
func frameSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := apidoc.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("openapi.json", doc); err != nil {
		t.Fatal(err)
	}
	return c.MustCompile("openapi.json#/components/schemas/Frame")
}

// The join-request and the data frame are the examples of lora-packet's
// documentation.
func TestEverythingHeardIsStreamed(t *testing.T) {
	schema := frameSchema(t)
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		r.Heard(radio.Uplink{}) // nobody watches
		lines, status, end := r.watchAir()
		defer end()
		if status != http.StatusOK {
			t.Fatal(status)
		}
		next := func() (f Frame) {
			t.Helper()
			for lines.Scan() {
				data, ok := strings.CutPrefix(lines.Text(), "data: ")
				if !ok {
					continue
				}
				v, err := jsonschema.UnmarshalJSON(strings.NewReader(data))
				if err == nil {
					err = schema.Validate(v)
				}
				if err == nil {
					err = json.Unmarshal([]byte(data), &f)
				}
				if err != nil {
					t.Fatalf("%s: %v", data, err)
				}
				return f
			}
			t.Fatalf("the stream ended: %v", lines.Err())
			return f
		}
		heard := func(payload string, crc radio.CRC) {
			b, err := hex.DecodeString(payload)
			if err != nil {
				t.Fatal(err)
			}
			r.Heard(radio.Uplink{Payload: b, CRC: crc, At: 7, Time: time.Unix(1_800_000_000, 0), Freq: 868_100_000, Mod: radio.LoRa{Bandwidth: 125_000, SF: 7, CodeRate: 1}, IFChain: 2, RSSI: -91.5, SNR: 7.25})
		}
		heard("40F17DBE4900020001954378762B11FF0D", radio.GoodCRC)
		if f := next(); f.Number != 2 || f.Type != "unconfirmed_up" || *f.DeviceAddr != "49be7df1" || *f.Counter16 != 2 || *f.Port != 1 || f.Rate != "SF7BW125" || f.CRC != 1 || f.RSSI != -91.5 || f.Freq != 868.1 || f.Size != 17 || !(f.Airtime > 0.04 && f.Airtime < 0.06) {
			t.Errorf("%+v", f)
		}
		heard("00DC0000D07ED5B3701E6FEDF57CEEAF0085CC587FE913", radio.GoodCRC)
		if f := next(); f.Type != "join_request" || *f.Device != "00afee7cf5ed6f1e" || f.DeviceAddr != nil {
			t.Errorf("%+v", f)
		}
		heard("40F1", radio.GoodCRC)
		if f := next(); f.Type != "unconfirmed_up" || f.DeviceAddr != nil || f.Port != nil {
			t.Errorf("%+v", f)
		}
		heard("40F17DBE4900020001954378762B11FF0D", radio.BadCRC)
		if f := next(); f.CRC != -1 || f.Type != "" || f.DeviceAddr != nil {
			t.Errorf("%+v", f)
		}
		// Long silence: longer than the limits of other requests.
		time.AfterFunc(10*time.Minute, func() { heard("", radio.NoCRC) }) // virtual
		if f := next(); f.CRC != 0 || f.Size != 0 {
			t.Errorf("%+v", f)
		}
		go func() {
			for lines.Scan() { // a client that reads
			}
		}()
		began := time.Now()
		r.stop(nil)
		if took := time.Since(began); took > time.Second {
			t.Errorf("the end took %v", took)
		}
	})
}

func TestAWatcherThatDoesNotReadDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		var ends []func()
		for range mostWatchers {
			_, _, end := r.watchAir()
			ends = append(ends, end)
		}
		if _, status, end := r.watchAir(); status != http.StatusServiceUnavailable {
			t.Errorf("one more: %d", status)
		} else {
			end()
		}
		began := time.Now()
		for range 4 * watcherQueue {
			r.Heard(radio.Uplink{Payload: []byte{1}})
		}
		if time.Since(began) != 0 {
			t.Error("it waited")
		}
		for _, end := range ends {
			end()
		}
		synctest.Wait()
		time.Sleep(time.Minute) // virtual: writes time out
		if n := r.watchers.count.Load(); n != 0 {
			t.Errorf("%d places are not given back", n)
		}
		weak := r.key(Key{Rights: []Right{RightData}})
		if status, _ := r.rest("GET", framesPath, "", "Authorization", "Bearer "+weak); status != http.StatusForbidden {
			t.Errorf("without the right: %d", status)
		}
	})
}
