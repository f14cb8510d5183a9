package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// api calls the Management API of this machine with full rights: that of the
// running daemon through its admin socket, or one that serves this command
// alone when there is no daemon.
type api struct {
	http  *http.Client
	close func() error
}

// refused is an answer of the API other than 2xx.
type refused struct {
	Status  int
	Code    string `json:"code"`
	Field   string `json:"field"`
	Message string `json:"message"`
}

func (r *refused) Error() string {
	if r.Message == "" {
		return fmt.Sprintf("refused with HTTP status %d", r.Status)
	}
	return r.Message
}

// answerMax bounds what is read of an answer.
const answerMax = 256 << 20

// call sends in as JSON (nil: no body) and decodes the answer into out (nil:
// the answer is dropped).
func (a *api) call(ctx context.Context, method, path string, query url.Values, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	u := url.URL{Scheme: "http", Host: "gatewayd", Path: "/api/v1.0" + path, RawQuery: query.Encode()}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask gatewayd: %w", errors.Unwrap(err))
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, answerMax))
	if err != nil {
		return fmt.Errorf("read gatewayd's answer: %w", err)
	}
	if resp.StatusCode/100 != 2 {
		r := &refused{Status: resp.StatusCode}
		if json.Unmarshal(text, r) != nil || r.Message == "" {
			r.Message = string(bytes.TrimSpace(text))
		}
		return r
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("gatewayd's answer: %w", err)
	}
	return nil
}
