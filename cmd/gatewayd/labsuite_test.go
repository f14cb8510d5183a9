package main

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"gatewayd/cmd/gatewayd/lab"
	"gatewayd/nsedge/enddevice"
)

// labSuite runs gatewayd lab suite --virtual with more arguments.
func labSuite(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := newLab(streams{out: &out, err: &out})
	cmd.SetArgs(append([]string{"suite", "--virtual"}, args...))
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

// finder is the case that finds a mutant: its part, its name, and the region
// if it is not EU868.
type finder struct{ part, name, region string }

// finders are the matrix of docs/lab.md.
func finders() map[enddevice.Defect]finder {
	return map[enddevice.Defect]finder{
		enddevice.SameDevNonce:       {"activation", "test_devnonce", ""},
		enddevice.DevNonceBack:       {"activation", "test_devnonce", ""},
		enddevice.ForgetsNonces:      {"activation", "test_devnonce_after_a_power_cycle", ""},
		enddevice.JoinHammering:      {"activation", "test_join_back_off", ""},
		enddevice.BadAccept:          {"activation", "test_tampered_join_accept", ""},
		enddevice.NoJoinRX2:          {"activation", "test_join_accept_in_rx2", ""},
		enddevice.WrongDevAddr:       {"activation", "test_join", ""},
		enddevice.NoADRAckReq:        {"adr", "test_adr_ack_req", ""},
		enddevice.NoBackOff:          {"adr", "test_back_off", ""},
		enddevice.IgnoresCFList:      {"channels", "test_every_channel_is_used", ""},
		enddevice.OneChannel:         {"channels", "test_every_channel_is_used", ""},
		enddevice.OffPlan:            {"channels", "test_packet_error_of_uplinks", ""},
		enddevice.DeafRXC:            {"classes", "test_class_c_listens_between_its_windows", ""},
		enddevice.DeafPings:          {"classes", "test_class_b_listens_in_its_ping_slots", ""},
		enddevice.WrongPings:         {"classes", "test_class_b_listens_in_its_ping_slots", ""},
		enddevice.LeavesB:            {"classes", "test_class_b_outlives_lost_beacons", ""},
		enddevice.StaysInB:           {"classes", "test_class_b_ends_two_hours_after_the_last_beacon", ""},
		enddevice.IgnoresPingChannel: {"classes", "test_ping_slot_channel", ""},
		enddevice.FeignsPingChannel:  {"classes", "test_ping_slot_channel", ""},
		enddevice.DeafGroup:          {"groups", "test_group_is_heard", ""},
		enddevice.GroupMIC:           {"groups", "test_tampered_frame_to_a_group", ""},
		enddevice.GroupReplays:       {"groups", "test_replayed_frame_to_a_group", ""},
		enddevice.AcksGroup:          {"groups", "test_frame_to_a_group_is_not_acknowledged", ""},
		enddevice.NeverAcks:          {"confirmed", "test_confirmed_downlink_is_acknowledged_once", ""},
		enddevice.AcksForever:        {"confirmed", "test_confirmed_downlink_is_acknowledged_once", ""},
		enddevice.NoRetransmit:       {"confirmed", "test_confirmed_uplink_is_repeated", ""},
		enddevice.NewCounterAgain:    {"confirmed", "test_confirmed_uplink_is_repeated", ""},
		enddevice.AcceptsReplays:     {"counters", "test_replayed_downlink", ""},
		enddevice.AcceptsWrongMIC:    {"counters", "test_tampered_downlink", ""},
		enddevice.SixteenBits:        {"counters", "test_downlink_counter_has_32_bits", ""},
		enddevice.FrozenCounter:      {"counters", "test_uplink_counter_rises", ""},
		enddevice.RestartsCounter:    {"counters", "test_counter_survives_a_power_cycle", ""},
		enddevice.NoDuty:             {"duty", "test_duty_cycle", ""},
		enddevice.LongPayload:        {"duty", "test_payload_size", ""},
		enddevice.WrongPort0Key:      {"mac", "test_commands_on_port_0", ""},
		enddevice.IgnoresDevStatus:   {"mac", "test_dev_status", ""},
		enddevice.RefusesMAC:         {"mac", "test_link_adr_data_rate", ""},
		enddevice.IgnoresLinkADR:     {"mac", "test_link_adr_data_rate", ""},
		enddevice.FeignsLinkADR:      {"mac", "test_link_adr_data_rate", ""},
		enddevice.HalfLinkADR:        {"mac", "test_link_adr_all_or_nothing", ""},
		enddevice.IgnoresMask:        {"mac", "test_link_adr_channel_mask", ""},
		enddevice.IgnoresPower:       {"mac", "test_link_adr_power", ""},
		enddevice.IgnoresNbTrans:     {"mac", "test_link_adr_repetitions", ""},
		enddevice.IgnoresDutyCycle:   {"mac", "test_duty_cycle_req", ""},
		enddevice.FeignsDutyCycle:    {"mac", "test_duty_cycle_req", ""},
		enddevice.IgnoresNewChannel:  {"mac", "test_new_channel", ""},
		enddevice.FeignsNewChannel:   {"mac", "test_new_channel", ""},
		enddevice.IgnoresTXParam:     {"mac", "test_tx_param_setup", "AS923-1"},
		enddevice.StickyOnce:         {"mac", "test_answers_are_repeated_until_they_are_heard", ""},
		enddevice.NoRekey:            {"v11", "test_rekey_indication", ""},
		enddevice.PlainFOpts:         {"v11", "test_rekey_indication", ""},
		enddevice.OneCounter11:       {"v11", "test_applications_have_a_counter_of_their_own", ""},
		enddevice.NoRejoin:           {"v11", "test_forced_rejoin_type_0", ""},
		enddevice.SameRJCount:        {"v11", "test_tampered_rejoin_accept", ""},
		enddevice.KeepsSession:       {"v11", "test_forced_rejoin_type_0", ""},
		enddevice.ResetsRadio:        {"v11", "test_forced_rejoin_type_2", ""},
		enddevice.ForgetsSession:     {"v11", "test_unanswered_rejoin", ""},
		enddevice.IgnoresRejoinParam: {"v11", "test_rejoin_param_setup", ""},
		enddevice.FeignsRejoinParam:  {"v11", "test_rejoin_param_setup", ""},
		enddevice.IgnoresADRParam:    {"v11", "test_adr_param_setup", ""},
		enddevice.FeignsADRParam:     {"v11", "test_adr_param_setup", ""},
		enddevice.RX1Late:            {"windows", "test_rx1", ""},
		enddevice.NoRX1:              {"windows", "test_rx1", ""},
		enddevice.NoRX2:              {"windows", "test_rx2", ""},
		enddevice.NarrowWindow:       {"windows", "test_rx1_takes_a_network_that_is_20_microseconds_off", ""},
		enddevice.IgnoresRXDelay:     {"windows", "test_join_accept_sets_rx1_delay", ""},
		enddevice.IgnoresRX1Offset:   {"windows", "test_join_accept_sets_rx1_offset", ""},
		enddevice.IgnoresRX2Rate:     {"windows", "test_join_accept_sets_rx2_data_rate", ""},
		enddevice.IgnoresRXTiming:    {"windows", "test_rx_timing_setup", ""},
		enddevice.FeignsRXTiming:     {"windows", "test_rx_timing_setup", ""},
		enddevice.IgnoresRXParam:     {"windows", "test_rx_param_setup", ""},
		enddevice.FeignsRXParam:      {"windows", "test_rx_param_setup", ""},
		enddevice.IgnoresDLChannel:   {"windows", "test_dl_channel", ""},
		enddevice.FeignsDLChannel:    {"windows", "test_dl_channel", ""},
	}
}

// Each device with a planted defect is found by a case with a name. That the
// same cases pass on devices without one is the next test.
func TestTheSuiteFindsEachDefect(t *testing.T) {
	for _, d := range enddevice.Defects() {
		f, ok := finders()[d]
		if !ok {
			t.Errorf("no case is known to find %s", d)
			continue
		}
		t.Run(string(d), func(t *testing.T) {
			t.Parallel()
			args := []string{"--dut", string(d), "--case", f.name, f.part}
			if f.region != "" {
				args = append(args, "--region", f.region)
			}
			out, err := labSuite(t, args...)
			if !errors.Is(err, errNotPassed) || !strings.HasPrefix(out, "failed   "+f.name+" ") {
				t.Errorf("%s was not found by %s: %v\n%s", d, f.name, err, out)
			}
		})
	}
}

// The whole suite passes on a healthy device; on those of other classes,
// versions and regions what is quick or about them. GATEWAYD_LAB_FULL=1 has
// all of it for all.
func TestHealthyDevicesPassTheSuite(t *testing.T) {
	for _, c := range []struct{ dut, region, parts string }{
		{"healthy", "EU868", ""},
		{"healthy-b", "EU868", "classes confirmed groups"},
		{"healthy-c", "EU868", "classes confirmed groups windows"},
		{"healthy-abp", "EU868", "confirmed counters"},
		{"healthy-1.0.2", "EU868", "activation counters"},
		{"healthy-1.1", "EU868", "v11 counters mac windows"},
		{"healthy", "US915-2", "confirmed mac windows"},
		{"healthy", "AS923-1", "duty mac"},
	} {
		t.Run(c.dut+" "+c.region, func(t *testing.T) {
			t.Parallel()
			if os.Getenv("GATEWAYD_LAB_FULL") != "" {
				c.parts = ""
			}
			out, err := labSuite(t, append([]string{"--dut", c.dut, "--region", c.region}, strings.Fields(c.parts)...)...)
			if err != nil || !strings.Contains(out, "passed ") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// Each case says what it tests.
func TestTheSuiteSaysWhatItTests(t *testing.T) {
	scripts, err := lab.Suite()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range scripts {
		if s.Doc == "" {
			t.Errorf("%s has no docstring", s.Name)
		}
		for _, name := range s.Cases {
			if s.About(name) == "" {
				t.Errorf("%s: %s has no docstring", s.Name, name)
			}
		}
	}
	if _, err := lab.Suite("singing"); !errors.Is(err, lab.ErrSuite) || !strings.Contains(err.Error(), "windows") {
		t.Error(err)
	}
}

// docs/lab.md has each verb, each virtual device with the case that finds it,
// and each case.
func TestTheLabIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/lab.md")
	if err != nil {
		t.Fatal(err)
	}
	has := func(what, want string) {
		t.Helper()
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("docs/lab.md lacks the %s %q", what, want)
		}
	}
	for verb := range lab.Verbs() {
		has("verb", "| `"+verb)
		for _, argument := range lab.Arguments(verb) {
			has("argument of "+verb, "`"+argument+"`")
		}
	}
	for _, name := range lab.Defects() {
		has("virtual device", "| `"+name+"` |")
	}
	for d, f := range finders() {
		has("row", "| `"+string(d)+"` | "+f.part+": `"+f.name+"` |")
	}
	scripts, err := lab.Suite()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range scripts {
		for _, name := range s.Cases {
			has("case", "`"+name+"`")
		}
	}
}
