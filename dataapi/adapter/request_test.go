package adapter

import (
	"net/http"
	"testing"
)

func TestTemplatesAreChecked(t *testing.T) {
	for _, c := range []struct {
		check func(string) error
		text  string
		good  bool
	}{
		{CheckURL, "http://127.0.0.1:8000/{type}?d={device}", true}, {CheckURL, "https://as.example", true},
		{CheckURL, "http://{device}.example/x", false}, {CheckURL, "http://as.example/{devise}", false}, {CheckURL, "ftp://as.example/", false}, {CheckURL, "/x", false}, {CheckURL, "", false}, {CheckURL, "http://", false},
		{CheckURI, "mqtt://u:p@broker:1883", true}, {CheckURI, "wss://broker/mqtt", true}, {CheckURI, "mqtts://broker", true}, {CheckURI, "http://broker", false}, {CheckURI, "broker:1883", false}, {CheckURI, "", false},
		{CheckTopicUp, "a/{device}/{type}", true}, {CheckTopicUp, "", false}, {CheckTopicUp, "a/+", false}, {CheckTopicUp, "a/#", false}, {CheckTopicUp, "a/{x}", false},
		{CheckTopicDown, "", true}, {CheckTopicDown, "a/+/b/#", true}, {CheckTopicDown, "a/{device}/down", true}, {CheckTopicDown, "a/#/b", false}, {CheckTopicDown, "a/b+", false}, {CheckTopicDown, "a/x{device}", false}, {CheckTopicDown, "{x}", false},
	} {
		if err := c.check(c.text); (err == nil) != c.good {
			t.Errorf("%q: %v", c.text, err)
		}
	}
}

func FuzzTemplates(f *testing.F) {
	f.Add("http://as.example/{type}/{device}")
	f.Add("a/{device}/+/#")
	f.Fuzz(func(t *testing.T, text string) {
		if CheckURL(text) == nil {
			h := NewHTTP(HTTPConfig{URL: text})
			req, err := h.newRequest(t.Context(), http.MethodPost, message(1), 0)
			if err != nil || req.URL.Host == "" {
				t.Errorf("%q: %v", text, err)
			}
		}
		_, _, _ = CheckURI(text), CheckTopicUp(text), CheckTopicDown(text)
	})
}
