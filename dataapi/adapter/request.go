package adapter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// answer is what a receiver said.
type answer struct {
	status int
	json   []byte // nil where the body is none
}

func statusError(status int) error {
	return fmt.Errorf("answered %d %s", status, http.StatusText(status))
}

// request makes one request: 4 s to connect, then 1 s to answer, for each
// redirect anew. Errors don't hold the URL, in which there may be a secret.
func (h *HTTP) request(ctx context.Context, method string, m Message, tries int) (answer, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	connecting := time.AfterFunc(connectTimeout, func() { cancel(errConnect) })
	answering := time.AfterFunc(time.Hour, func() { cancel(errAnswer) })
	answering.Stop()
	defer connecting.Stop()
	defer answering.Stop()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { answering.Stop(); connecting.Reset(connectTimeout) },
		GotConn: func(httptrace.GotConnInfo) { connecting.Stop(); answering.Reset(answerTimeout) },
	})
	req, err := h.newRequest(ctx, method, m, tries)
	if err != nil {
		return answer{}, err
	}
	res, err := h.client.Do(req)
	if err != nil {
		return answer{}, plain(ctx, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, mostReply+1))
	if err != nil {
		return answer{}, plain(ctx, err)
	}
	a := answer{status: res.StatusCode}
	media, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")) // what is none is not ours
	if media == "application/json" && len(body) > 0 && len(body) <= mostReply {
		a.json = body
	}
	return a, nil
}

func (h *HTTP) newRequest(ctx context.Context, method string, m Message, tries int) (*http.Request, error) {
	target := m.Vars.fill(h.cfg.URL, url.QueryEscape) // of words and digits, the same in path and query
	if method == http.MethodOptions {
		target, _, _ = strings.Cut(h.cfg.URL, "{")
	}
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(m.Text))
	if err != nil {
		return nil, errors.New("the URL is not valid")
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Request-Id", m.ID)
	}
	if tries > 0 {
		req.Header.Set("Retry-Number", strconv.Itoa(tries))
	}
	if h.cfg.Authorization != "" {
		req.Header["Authorization"] = []string{h.cfg.Authorization}
	}
	return req, nil
}

// plain says why a request failed, without its URL.
func plain(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, errConnect) || errors.Is(cause, errAnswer) {
		return cause
	}
	if u := (*url.Error)(nil); errors.As(err, &u) {
		return u.Err
	}
	return err
}
