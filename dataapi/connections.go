package dataapi

import (
	"bytes"
	"crypto/subtle"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
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

const hidden = "(secret)"

func (s *Server) viewConnection(c connection) connectionView {
	if c.Authorization != "" {
		c.Authorization = hidden
	}
	if u, err := url.Parse(c.URI); err == nil && u.User != nil {
		c.URI = u.Redacted()
	}
	return connectionView{c, s.links.status(c.ID)}
}

// parse sets what the client gave and says what is wrong with it.
func (c *connection) parse(body fields) error {
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
	return c.check()
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

func (s *Server) connectionList() methods {
	return methods{
		http.MethodGet: func(c *call) (reply, error) {
			pg, err := parsePage(c.query)
			if err != nil {
				return reply{}, err
			}
			stored, err := s.storedConnections()
			if err != nil {
				return reply{}, err
			}
			views := []connectionView{}
			for _, one := range stored {
				if c.key.May("connections", read, one.ID) {
					views = append(views, s.viewConnection(one))
				}
			}
			return listReply("connections", cut(pg, views), len(views), pg), nil
		},
		http.MethodPost: s.createConnection,
	}
}

func (s *Server) createConnection(c *call) (reply, error) {
	body, err := c.body("connection")
	if err != nil {
		return reply{}, err
	}
	one := connection{ID: randomHex(16)} // hard to guess: it stands in the callback's path
	if err := one.parse(body); err != nil {
		return reply{}, err
	}
	req, err := s.connectionRequest(one)
	if err != nil {
		return reply{}, err
	}
	stored, err := s.storedConnections()
	if err != nil {
		return reply{}, err
	}
	if len(stored) >= mostConnections {
		return reply{}, &problem{http.StatusForbidden, codeTooMany, "", fmt.Sprintf("there are %d connections already, which is all that are allowed; delete one", mostConnections)}
	}
	text, err := json.Marshal(one)
	if err != nil {
		return reply{}, err
	}
	if err := s.cfg.Documents.Put(connectionsBucket, []byte(one.ID), text); err != nil {
		return reply{}, err
	}
	s.startLink(one, req)
	return reply{http.StatusCreated, map[string]connectionView{"connection": s.viewConnection(one)}}, nil
}

func (s *Server) connectionOne() methods {
	find := func(c *call) (one connection, err error) {
		id := strings.ToLower(c.PathValue("id"))
		text, err := s.cfg.Documents.Get(connectionsBucket, []byte(id))
		if err != nil {
			return one, err
		}
		if text == nil {
			return one, notFound("Connection not found")
		}
		return one, json.Unmarshal(text, &one)
	}
	return methods{
		http.MethodGet: func(c *call) (reply, error) {
			one, err := find(c)
			return reply{http.StatusOK, map[string]connectionView{"connection": s.viewConnection(one)}}, err
		},
		http.MethodDelete: func(c *call) (reply, error) {
			one, err := find(c)
			if err != nil {
				return reply{}, err
			}
			if err := s.cfg.Documents.Delete(connectionsBucket, []byte(one.ID)); err != nil {
				return reply{}, err
			}
			s.links.stop(one.ID)
			return reply{status: http.StatusNoContent}, nil
		},
	}
}

// callback takes messages that an application posts, outside the Management
// API: it is authorised by the connection's own Authorization.
func (s *Server) callback(w http.ResponseWriter, r *http.Request) {
	if err := s.takeCallback(w, r); err != nil {
		p := problemOf(err)
		s.audit(r, "", p)
		refuse(w, p)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

func (s *Server) takeCallback(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return &problem{http.StatusMethodNotAllowed, codeMethod, "", r.Method + " is not served here; POST a message"}
	}
	l := s.links.get(strings.ToLower(r.PathValue("id")))
	if l == nil || l.of.Type != "http" {
		return notFound("there is no such http connection")
	}
	if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte(l.of.Authorization)) != 1 {
		return &problem{http.StatusUnauthorized, codeUnknownToken, "Authorization", "Authorization: it is not the one that the connection was made with"}
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(s.cfg.MaxMessage)))
	if err != nil {
		return &problem{http.StatusRequestEntityTooLarge, codeTooLarge, "", fmt.Sprintf("a message has at most %d bytes", s.cfg.MaxMessage)}
	}
	var any map[string]json.RawMessage
	if err := json.Unmarshal(text, &any); err != nil {
		return &problem{http.StatusBadRequest, codeBadJSON, "", "the body is not a JSON object: " + reason(err)}
	}
	l.receive(r.Context(), bytes.TrimSpace(text))
	return nil
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
