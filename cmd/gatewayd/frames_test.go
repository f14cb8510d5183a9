package main

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"gatewayd/dataapi"
	"gatewayd/radio"
)

// A device of another network joins: this one answers nothing, and the page
// that watches the air sees it.
func TestFramesOfOthersAreHeardThroughTheDriver(t *testing.T) {
	inBubble(t, setup{}, func(w *world) {
		client := http.Client{Transport: &http.Transport{DialContext: w.api.Dial, DisableKeepAlives: true}}
		req, err := http.NewRequestWithContext(w.ctx, http.MethodGet, "http://gateway/api/v1.0/radio/frames?access_token="+w.token, nil)
		w.must(err)
		res, err := client.Do(req)
		w.must(err)
		defer res.Body.Close()
		stranger := w.device(1, false, nil)
		defer stranger.Close()
		w.must(w.d.edge.DeleteDevice(w.ctx, radio.EUI64{2, 0, 0, 0xFF, 0xFE, 0, 0, 1}))
		ctx, cancel := context.WithCancel(w.ctx)
		tried := make(chan error, 1)
		go func() { tried <- stranger.Join(ctx) }() // nobody answers
		defer func() {
			cancel()
			if err := <-tried; err == nil {
				t.Error("a device that nobody knows has joined")
			}
		}()
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			data, ok := strings.CutPrefix(lines.Text(), "data: ")
			if !ok {
				continue
			}
			var f dataapi.Frame
			w.must(json.Unmarshal([]byte(data), &f))
			if f.Type != "join_request" || f.Device == nil || f.CRC != 1 || f.Rate == "" || f.Freq < 863 {
				t.Errorf("%s", data)
			}
			return
		}
		t.Error("nothing was heard")
	})
}
