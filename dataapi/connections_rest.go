package dataapi

import (
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

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
	stored, err := s.storedConnections()
	if err != nil {
		return reply{}, err
	}
	if len(stored) >= mostConnections {
		return reply{}, &problem{http.StatusForbidden, codeTooMany, "", fmt.Sprintf("there are %d connections already, which is all that are allowed; delete one", mostConnections)}
	}
	s.links.changing.Lock()
	defer s.links.changing.Unlock()
	one := connection{ID: randomHex(16)} // hard to guess: it stands in the callback's path
	return s.changeConnection(one, body, http.StatusCreated)
}

// changeConnection takes the body into the connection, keeps it and lets it
// work as it is now; links.changing is held.
func (s *Server) changeConnection(one connection, body fields, status int) (reply, error) {
	if err := one.parse(body); err != nil {
		return reply{}, err
	}
	req, err := s.connectionRequest(one)
	if err != nil {
		return reply{}, err
	}
	text, err := json.Marshal(one)
	if err != nil {
		return reply{}, err
	}
	if err := s.cfg.Documents.Put(connectionsBucket, []byte(one.ID), text); err != nil {
		return reply{}, err
	}
	s.links.stop(one.ID)
	s.startLink(one, req)
	return connectionReply(status, s.viewConnection(one)), nil
}

func connectionReply(status int, v connectionView) reply {
	return reply{status, map[string]connectionView{"connection": v}}
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
			return connectionReply(http.StatusOK, s.viewConnection(one)), err
		},
		http.MethodPatch: func(c *call) (reply, error) {
			body, err := c.body("connection")
			if err != nil {
				return reply{}, err
			}
			s.links.changing.Lock()
			defer s.links.changing.Unlock()
			one, err := find(c)
			if err != nil {
				return reply{}, err
			}
			return s.changeConnection(one, body, http.StatusOK)
		},
		http.MethodDelete: func(c *call) (reply, error) {
			s.links.changing.Lock()
			defer s.links.changing.Unlock()
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
