package config_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gatewayd/cmd/gatewayd/config"
)

// faultsOf parses and returns what is wrong.
func faultsOf(t *testing.T, text string) config.Faults {
	t.Helper()
	_, err := config.Parse("gw.toml", []byte(text))
	if err == nil {
		return nil
	}
	var f config.Faults
	if !errors.As(err, &f) {
		t.Fatalf("%T: %v", err, err)
	}
	return f
}

// badValue is a value that is not allowed, and words that its fault must have.
type badValue struct {
	key, value string
	words      []string
}

// badValues has at least one for every key; TestEveryKeyIsChecked sees to it.
func badValues() []badValue {
	long := strings.Repeat("x", 120)
	return []badValue{
		{"concentrator.driver", `"sx1301"`, []string{"allowed: sx1302, emulated"}},
		{"concentrator.driver", `""`, []string{"allowed: sx1302, emulated"}},
		{"concentrator.driver", `1`, []string{"wrong type", "text in quotes"}},
		{"concentrator.board", `"rak2278"`, []string{"no board named", "rak2287", "semtech-corecell"}},
		{"concentrator.spi", `"/dev/ttyS0"`, []string{"/dev/spidevBUS.CS", "unix:PATH"}},
		{"concentrator.spi", `"/dev/ttyACM0"`, []string{"usb:/dev/ttyACM0"}},
		{"concentrator.spi", `"usb:ttyACM0"`, []string{"usb:/PATH"}},
		{"concentrator.spi", `"/dev/spidev0"`, []string{"/dev/spidevBUS.CS"}},
		{"concentrator.spi", `"unix:"`, []string{"1 to 107 characters", "it has 0"}},
		{"concentrator.spi", `"unix:/` + long + `"`, []string{"it has 121"}},
		{"concentrator.sx130x_conf", `"global_conf.json"`, []string{"an absolute path"}},
		{"concentrator.i2c", `"i2c-1"`, []string{"/dev/i2c-N"}},
		{"concentrator.i2c", `"unix:"`, []string{"characters, it has 0"}},
		{"concentrator.sx1261_spi", `"spidev0.1"`, []string{"/dev/spidevBUS.CS", "unix:PATH"}},
		{"concentrator.lbt", `"yes"`, []string{"auto, on, off"}},
		{"concentrator.lbt", `"on"`, []string{"set sx1261_spi"}},
		{"concentrator.spi_hz", `1`, []string{"100000 to 10000000"}},
		{"concentrator.spi_hz", `-5`, []string{"100000 to 10000000"}},
		{"concentrator.spi_hz", `80000000`, []string{"100000 to 10000000"}},
		{"concentrator.spi_hz", `"8 MHz"`, []string{"wrong type", "whole number"}},
		{"concentrator.gps", `"ttyAMA0"`, []string{"/dev/ttyAMA0", "off"}},
		{"concentrator.leap_seconds", `-1`, []string{"0 for what the receiver says"}},
		{"concentrator.leap_seconds", `61`, []string{"to 60"}},
		{"air.listen", `"127.0.0.1:7707"`, []string{`driver = "emulated"`}},
		{"dataapi.listen", `"8080"`, []string{"missing port", "HOST:PORT"}},
		{"dataapi.listen", `""`, []string{"HOST:PORT"}},
		{"dataapi.listen", `"127.0.0.1:http"`, []string{`"http"`, "1 to 65535"}},
		{"dataapi.listen", `"127.0.0.1:70000"`, []string{`"70000"`, "1 to 65535"}},
		{"dataapi.listen", `"127.0.0.1:0"`, []string{"1 to 65535"}},
		{"dataapi.tls", `"on"`, []string{"auto, off, files, self, acme"}},
		{"dataapi.tls", `"files"`, []string{"set dataapi.tls_cert"}},
		{"dataapi.tls", `"acme"`, []string{"set dataapi.tls_names"}},
		{"dataapi.tls_names", `"gw.example, a_b"`, []string{"a_b", "gateway.example.org"}},
		{"dataapi.acme_email", `"me"`, []string{"someone@example.org"}},
		{"dataapi.acme_url", `"http://ca.example/dir"`, []string{"https://"}},
		{"dataapi.history_file", `"history"`, []string{"an absolute path"}},
		{"dataapi.history_mib", `0`, []string{"1 to 65536"}},
		{"dataapi.max_requests", `0`, []string{"1 to"}},
		{"dataapi.max_connections", `-1`, []string{"1 to 100000"}},
		{"dataapi.max_message", `100`, []string{"1024 to"}},
		{"dataapi.max_rate", `0`, []string{"1 to"}},
		{"dataapi.tls_cert", `"/etc/cert.pem"`, []string{"dataapi.tls_key"}},
		{"dataapi.tls_key", `"/etc/key.pem"`, []string{"dataapi.tls_cert"}},
		{"dataapi.origins", `"https://a.example, example.org"`, []string{"SCHEME://HOST"}},
		{"dataapi.origins", `"https://a.example/"`, []string{"nothing more"}},
		{"region.name", `"EU869"`, []string{"EU869", "EU868"}},
		{"region.name", `""`, []string{"EU868"}},
		{"region.dwell_time", `"400ms"`, []string{"auto, none, uplink, downlink, both"}},
		{"region.dwell_time", `"both"`, []string{"EU868 has none"}},
		{"network.net_id", `"00"`, []string{"6 hex digits"}},
		{"network.net_id", `"00000g"`, []string{"6 hex digits"}},
		{"gateway.eui", `"0016c001"`, []string{"16 hex digits"}},
		{"gateway.eui", `"0016c001ff10000x"`, []string{"16 hex digits"}},
		{"network.class_b", `"yes"`, []string{"auto, on, off"}},
		{"network.class_b", `""`, []string{"auto, on, off"}},
		{"network.beacon_freq", `915000000`, []string{"EU868", "863000000 to 870000000"}},
		{"network.beacon_freq", `-1`, []string{"0 for the region's"}},
		{"network.beacon_freq", `"869.5 MHz"`, []string{"wrong type", "whole number"}},
		{"network.id", `"1234"`, []string{"8 or 32 hex digits"}},
		{"network.id", `"1234567x"`, []string{"8 or 32 hex digits"}},
		{"region.duty_cycle", `"off"`, []string{"wrong type", "true or false"}},
		{"gateway.antenna_gain", `99.0`, []string{"-20 to 40"}},
		{"gateway.antenna_gain", `nan`, []string{"-20 to 40"}},
		{"gateway.latitude", `-90.5`, []string{"-90 to 90"}},
		{"gateway.longitude", `181.0`, []string{"-180 to 180"}},
		{"gateway.longitude", `"east"`, []string{"wrong type", "number"}},
		{"gateway.altitude", `20000`, []string{"-1000 to 10000"}},
		{"state.dir", `"state"`, []string{"absolute path"}},
		{"state.dir", `""`, []string{"absolute path"}},
		{"firmware.dir", `"./fw"`, []string{"absolute path"}},
		{"lab.enabled", `"yes"`, []string{"wrong type", "true or false"}},
		{"lab.marker_tx", `9`, []string{"a line of SPI"}},
		{"lab.marker_rx", `28`, []string{"no line of the header"}},
		{"lab.marker_window", `5`, []string{"lab.enabled"}},
		{"recorder.size_mib", `257`, []string{"0 to 256"}},
		{"recorder.size_mib", `-1`, []string{"0 to 256"}},
		{"log.level", `"verbose"`, []string{"debug, info, warn, error"}},
		{"log.format", `"xml"`, []string{"text, json"}},
	}
}

func TestEachBadValueIsNamedWithFileLineKeyAndWhatIsAllowed(t *testing.T) {
	for _, c := range badValues() {
		t.Run(c.key+"="+c.value[:min(len(c.value), 20)], func(t *testing.T) {
			section, name, _ := strings.Cut(c.key, ".")
			faults := faultsOf(t, fmt.Sprintf("# a comment\n\n[%s]\n%s = %s\n", section, name, c.value))
			if len(faults) != 1 {
				t.Fatalf("%d faults: %v", len(faults), faults)
			}
			text := faults[0].Error()
			want := append([]string{"gw.toml:4: ", c.key}, c.words...)
			if !strings.HasPrefix(c.value, `"unix:/x`) {
				want = append(want, c.key+" = "+c.value)
			}
			for _, w := range want {
				if !strings.Contains(text, w) {
					t.Errorf("%s\n  doesn't say %q", text, w)
				}
			}
			if strings.Contains(text, "\n") {
				t.Errorf("more than one line: %q", text)
			}
		})
	}
}

func TestEveryKeyIsChecked(t *testing.T) {
	for _, key := range config.Keys() {
		if !slices.ContainsFunc(badValues(), func(b badValue) bool { return b.key == key }) {
			t.Errorf("no bad value of %s is tried", key)
		}
	}
}

// emulated is what each emulated case starts with.
const emulated = "[concentrator]\ndriver = \"emulated\"\n"

func TestBadValuesOfAnEmulatedConcentrator(t *testing.T) {
	for _, c := range []struct {
		text, key string
		line      int
	}{
		{emulated + "spi = \"unix:/tmp/s\"\n", "concentrator.spi", 3},
		{emulated + "[air]\nlisten = \"7707\"\n", "air.listen", 4},
		{emulated + "[air]\nlisten = \"unix:\"\n", "air.listen", 4},
		{emulated + "[air]\nlisten = \"127.0.0.1:99999\"\n", "air.listen", 4},
	} {
		f := faultsOf(t, c.text)
		if len(f) != 1 || f[0].Key != c.key || f[0].Line != c.line {
			t.Errorf("%q: %v, want %s in line %d", c.text, f, c.key, c.line)
		}
	}
}

func TestUnknownKeysAreFaultsWithTheirLine(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"[dataapi]\nlissten = \"x\"\n", []string{"gw.toml:2: dataapi.lissten: unknown key; [dataapi] has listen, tls, tls_cert, tls_key"}},
		{"[dataapi]\nboard = \"x\"\n", []string{"was concentrator.board meant?"}},
		{"listen = \"x\"\n", []string{"gw.toml:1: listen: unknown key", "air.listen or dataapi.listen"}},
		{"\n[nosuch]\na = 1\n", []string{"gw.toml:2: nosuch: unknown key", "the sections are concentrator, air"}},
		{"[log]\nx = 1\n[log.y]\nz = 1\n", []string{"gw.toml:2: log.x", "gw.toml:3: log.y"}},
	} {
		got := faultsOf(t, c.text).Error()
		for _, w := range c.want {
			if !strings.Contains(got, w) {
				t.Errorf("%q: %s\n  doesn't say %q", c.text, got, w)
			}
		}
	}
}

func TestBrokenTOMLIsNamedWithItsLine(t *testing.T) {
	for _, c := range []struct {
		text string
		line int
	}{
		{"[log]\nlevel = \"info\n", 2},
		{"[log]\n\nlevel\n", 3},
		{"[log\n", 1},
		{"[log]\nlevel = \"info\"\nlevel = \"warn\"\n", 3},
		{"[log]\nlevel = \"info\"\n[log]\n", 3},
	} {
		f := faultsOf(t, c.text)
		if len(f) != 1 || f[0].Line != c.line {
			t.Errorf("%q: %v, want line %d", c.text, f, c.line)
		}
	}
}

func TestAllFaultsComeAtOnceInTheOrderOfTheFile(t *testing.T) {
	f := faultsOf(t, "[log]\nlevel = \"x\"\n[state]\ndir = \"y\"\n[dataapi]\nlisten = \"z\"\n")
	var lines []int
	for _, fault := range f {
		lines = append(lines, fault.Line)
	}
	if !slices.Equal(lines, []int{2, 4, 6}) {
		t.Errorf("lines %v, want 2 4 6: %v", lines, f)
	}
}

func TestInlineTablesAndDottedKeysHaveLinesToo(t *testing.T) {
	for _, text := range []string{"\nlog = { format = \"text\", level = \"x\" }\n", "\nlog.level = \"x\"\n"} {
		f := faultsOf(t, text)
		if len(f) != 1 || f[0].Line != 2 || f[0].Key != "log.level" || f[0].Value != `"x"` {
			t.Errorf("%q: %v", text, f)
		}
	}
}

func TestAnEmptyFileIsTheDefault(t *testing.T) {
	c, err := config.Parse("gw.toml", nil)
	if err != nil {
		t.Fatal(err)
	}
	if c != config.Default() {
		t.Errorf("got %+v", c)
	}
}

func TestPrintedConfigurationLoadsToTheSameValues(t *testing.T) {
	for name, c := range map[string]config.Config{"default": config.Default(), "emulated": func() config.Config {
		c := config.Default()
		c.Concentrator.Driver = config.DriverEmulated
		c.Air.Listen = "unix:/run/air"
		c.Gateway.EUI = "0016c001ff100001"
		c.Region.Name = "US915-2"
		return c
	}()} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := c.Print(&b); err != nil {
				t.Fatal(err)
			}
			again, err := config.Parse("printed", b.Bytes())
			if err != nil {
				t.Fatalf("%v\n%s", err, b.String())
			}
			if again != c {
				t.Errorf("got %+v, want %+v", again, c)
			}
		})
	}
}

func TestPrintExplainsEveryKey(t *testing.T) {
	var b bytes.Buffer
	if err := config.Default().Print(&b); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(b.String(), "\n")
	for _, key := range config.Keys() {
		_, name, _ := strings.Cut(key, ".")
		i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, name+" = ") })
		if i < 1 || !strings.HasPrefix(lines[i-1], "# ") {
			t.Errorf("%s has no comment", key)
		}
	}
}

func TestTheAirIsServedOnlyWithAnEmulatedConcentrator(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"[air]\nlisten = \"off\"\n", ""},
		{emulated, "127.0.0.1:7707"},
		{emulated + "[air]\nlisten = \"off\"\n", ""},
		{emulated + "[air]\nlisten = \"127.0.0.1:9000\"\n", "127.0.0.1:9000"},
		{emulated + "[air]\nlisten = \"unix:/run/air.sock\"\n", "unix:/run/air.sock"},
	} {
		got, err := config.Parse("gw.toml", []byte(c.text))
		if err != nil {
			t.Error(err)
		} else if got.AirListen() != c.want {
			t.Errorf("%q: %q, want %q", c.text, got.AirListen(), c.want)
		}
	}
}

func TestValuesInTheirTypes(t *testing.T) {
	c, err := config.Parse("gw.toml", []byte("[gateway]\neui = \"00-16-C0-01-FF-10-00-01\"\n[network]\nnet_id = \"0102ff\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	if eui := c.GatewayEUI(); eui == nil || eui.String() != "0016c001ff100001" {
		t.Errorf("EUI %v", eui)
	}
	if id := c.NetID(); id != [3]byte{1, 2, 255} {
		t.Errorf("NetID %x", id)
	}
	if eui := config.Default().GatewayEUI(); eui != nil {
		t.Errorf("EUI %v where none is set", eui)
	}
}

func TestLoadSaysWhichFileIsMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.toml")
	_, err := config.Load(path)
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "config print") {
		t.Errorf("got %v", err)
	}
}

// A file of any content gives a configuration or faults, never a panic.
func FuzzParse(f *testing.F) {
	var b bytes.Buffer
	if err := config.Default().Print(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte("log = { level = \"x\", format = [1, {a=2}] }"))
	f.Add([]byte("[[log]]\nlevel=1979-05-27\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		_, err := config.Parse("f", text)
		var faults config.Faults
		if err != nil && (!errors.As(err, &faults) || len(faults) == 0) {
			t.Errorf("%q: %T %v", text, err, err)
		}
	})
}
