package dataapi

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"

	"gatewayd/dataapi/adapter"
)

// connectionsBucket holds the connections as JSON, by id.
const connectionsBucket = "connections"

// mostConnections is how many connections may be stored.
const mostConnections = 64

// connection is one that we make: messages are brought to the application.
type connection struct {
	ID            string `json:"id"`
	Type          string `json:"type"` // "http" or "mqtt"
	Description   string `json:"description"`
	Filter        string `json:"filter"` // id of a stored filter, "" for none
	URL           string `json:"url,omitempty"`
	URI           string `json:"uri,omitempty"`
	Authorization string `json:"authorization,omitempty"`
	TopicUp       string `json:"topic_up,omitempty"`
	TopicDown     string `json:"topic_down,omitempty"`
	TLSCA         string `json:"tls_ca,omitempty"` // PEM: whom to trust, "" for the host's choice
	Radio         bool   `json:"radio"`
	LoRa          bool   `json:"lora"`
	Duplicate     bool   `json:"duplicate"`
}

// connectionView is a connection as it is shown: without its secrets.
type connectionView struct {
	connection
	Status adapter.Status `json:"status"`
}

// How secrets are shown.
const (
	hidden   = "(secret)"
	redacted = "xxxxx" // a password in a URL: see [url.URL.Redacted]
)

func (s *Server) viewConnection(c connection) connectionView {
	return connectionView{c.shown(), s.links.status(c.ID)}
}

// shown is the connection without its secrets.
func (c connection) shown() connection {
	if c.Authorization != "" {
		c.Authorization = hidden
	}
	if u, err := url.Parse(c.URI); err == nil && u.User != nil {
		c.URI = u.Redacted()
	}
	return c
}

// parse sets what the client gave and says what is wrong with it. A secret
// that comes back as it was shown stays.
func (c *connection) parse(body fields) error {
	before := *c
	for name, into := range map[string]*string{
		"type": &c.Type, "description": &c.Description, "filter": &c.Filter, "url": &c.URL, "uri": &c.URI,
		"authorization": &c.Authorization, "topic_up": &c.TopicUp, "topic_down": &c.TopicDown, "tls_ca": &c.TLSCA,
	} {
		if !body.given(name) {
			continue
		}
		text, err := textOrNumber(body, name)
		if err != nil {
			return badField(name, "a text is wanted") // it may be a secret
		}
		*into = text
	}
	for name, into := range map[string]*bool{"radio": &c.Radio, "lora": &c.LoRa, "duplicate": &c.Duplicate} {
		if !body.given(name) {
			continue
		}
		if err := setBool(into, body, name); err != nil {
			return err
		}
	}
	c.Type, c.Filter = strings.ToLower(c.Type), strings.ToLower(c.Filter)
	if before.Type != "" && c.Type != before.Type {
		return badField("type", "%s; it is %s and can't change: make another connection", shown(c.Type), before.Type)
	}
	if err := c.check(); err != nil {
		return err
	}
	return c.keepSecrets(before, body)
}

// keepSecrets puts back what was hidden, but for the server that it was meant
// for only: who may change connections must not get secrets sent elsewhere.
func (c *connection) keepSecrets(before connection, body fields) error {
	if before.Authorization != "" && c.Authorization == hidden {
		c.Authorization = before.Authorization
	}
	if c.URI == before.shown().URI {
		c.URI = before.URI
	}
	if u, err := url.Parse(c.URI); err == nil && c.URI != before.URI {
		if password, _ := u.User.Password(); password == redacted {
			return badField("uri", "the password in it is hidden; give it again for another broker")
		}
	}
	given, _ := body.text("authorization") // parse has judged it
	if c.Authorization == before.Authorization && given != c.Authorization && serverOf(c.URL) != serverOf(before.URL) {
		return badField("authorization", "give it again: url names another server")
	}
	return nil
}

// serverOf is the part of a URL that says who gets the secrets.
func serverOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return text
	}
	return u.Scheme + "://" + u.Host
}

func (c *connection) check() error {
	type rule struct {
		field string
		err   error
	}
	var rules []rule
	switch c.Type {
	case "http":
		rules = []rule{{"url", adapter.CheckURL(c.URL)}}
		if strings.ContainsAny(c.Authorization, "\r\n\x00") {
			rules = append(rules, rule{"authorization", errors.New("one line is wanted")})
		}
	case "mqtt":
		rules = []rule{{"uri", adapter.CheckURI(c.URI)}, {"topic_up", adapter.CheckTopicUp(c.TopicUp)}, {"topic_down", adapter.CheckTopicDown(c.TopicDown)}}
	default:
		return badField("type", "%s; http and mqtt are allowed", shown(c.Type))
	}
	if _, err := c.roots(); err != nil {
		rules = append(rules, rule{"tls_ca", err})
	}
	for _, r := range rules {
		if r.err != nil {
			return badField(r.field, "%v", r.err)
		}
	}
	return nil
}

// roots are whom the connection trusts; nil is the host's choice.
func (c *connection) roots() (*x509.CertPool, error) {
	if c.TLSCA == "" {
		return nil, nil //nolint:nilnil // see above
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(c.TLSCA)) {
		return nil, errors.New("certificates in PEM are wanted")
	}
	return pool, nil
}

// request is what the connection asks for, as a client would that connects.
func (s *Server) connectionRequest(c connection) (request, error) {
	p := parameters{}
	for name, on := range map[string]bool{"radio": c.Radio, "lora": c.LoRa, "duplicate": c.Duplicate} {
		if on {
			p[name] = []string{"1"}
		}
	}
	if c.Filter != "" {
		p["filter"] = []string{c.Filter}
	}
	return s.parseRequest(p)
}

func (s *Server) storedConnections() (all []connection, err error) {
	err = s.cfg.Documents.Each(connectionsBucket, func(id, text []byte) error {
		var c connection
		if err := json.Unmarshal(text, &c); err != nil {
			return fmt.Errorf("connection %s: %w", id, err)
		}
		all = append(all, c)
		return nil
	})
	return all, err
}

// startLinks brings the stored connections to life.
func (s *Server) startLinks() {
	stored, err := s.storedConnections()
	if err != nil {
		s.log.Error("read the connections", slog.Any("error", err))
	}
	for _, c := range stored {
		req, err := s.connectionRequest(c)
		if err != nil {
			s.log.Error("connection doesn't work", slog.String("connection", c.ID), slog.Any("error", err))
			continue
		}
		s.startLink(c, req)
	}
}

// restartLinks takes a changed filter into the connections that use it.
func (s *Server) restartLinks(filterID string) {
	s.links.changing.Lock()
	defer s.links.changing.Unlock()
	stored, err := s.storedConnections()
	if err != nil {
		s.log.Error("read the connections", slog.Any("error", err))
	}
	for _, c := range stored {
		if c.Filter != filterID {
			continue
		}
		req, err := s.connectionRequest(c)
		if err != nil {
			continue // the filter was checked
		}
		s.links.stop(c.ID)
		s.startLink(c, req)
	}
}

// filterUser is a connection that uses a filter, "" if there is none.
func (s *Server) filterUser(filterID string) (id string, err error) {
	stored, err := s.storedConnections()
	for _, c := range stored {
		if c.Filter == filterID {
			return c.ID, err
		}
	}
	return "", err
}
