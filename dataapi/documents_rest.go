package dataapi

import (
	"encoding/json"
	"io"
	"net/http"
	"sync"

	"gatewayd/dataapi/apidoc"
)

// document serves one that is made once, by whoever asks first.
func document(of func() (apidoc.Object, error)) func(*call) (reply, error) {
	make := sync.OnceValues(func() (json.RawMessage, error) {
		doc, err := of()
		if err != nil {
			return nil, err
		}
		return json.Marshal(doc)
	})
	return func(*call) (reply, error) {
		text, err := make()
		return reply{http.StatusOK, text}, err
	}
}

func (s *Server) tlsInfo() *TLSInfo {
	if s.cfg.TLS == nil {
		return nil
	}
	return s.cfg.TLS()
}

// getTLS lets a visitor compare the fingerprint with the one in the log.
func (s *Server) getTLS(*call) (reply, error) {
	return reply{http.StatusOK, map[string]*TLSInfo{"tls": s.tlsInfo()}}, nil
}

// getCA is what clients should trust.
func (s *Server) getCA(*call) (reply, error) {
	info := s.tlsInfo()
	if info == nil || info.CA == nil {
		return reply{}, notFound("there is no certificate authority of our own: dataapi.tls is not self")
	}
	return reply{http.StatusOK, stream{"application/x-pem-file", func(w io.Writer) error {
		_, err := w.Write(info.CA)
		return err
	}}}, nil
}
