package dataapi

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
)

// clientView is an open connection to the Data API.
type clientView struct {
	ID          string `json:"id"`
	Key         string `json:"key"` // id of the key or the session
	Description string `json:"description"`
	Remote      string `json:"remote"`
	Since       int64  `json:"since"`
	Types       string `json:"types"`
	Queued      int    `json:"queued"` // messages that wait for it
	Queue       int    `json:"queue"`  // and how many may
	Sent        uint64 `json:"sent"`
}

// clients are the open connections, oldest first.
func (s *Server) clients() []clientView {
	s.mu.RLock()
	defer s.mu.RUnlock()
	open := make([]*subscriber, 0, len(s.subscribers))
	for c := range s.subscribers {
		if c.conn != nil {
			open = append(open, c)
		}
	}
	slices.SortFunc(open, func(a, b *subscriber) int { return cmp.Compare(a.id, b.id) })
	views := []clientView{}
	for _, c := range open {
		views = append(views, clientView{
			ID: strconv.FormatUint(c.id, 10), Key: c.keyID, Remote: c.conn.RemoteAddr().String(), Since: c.opened.Unix(),
			Types: c.filter.kinds.String(), Queued: len(c.queue), Queue: cap(c.queue), Sent: c.sent.Load(),
		})
	}
	return views
}

func (s *Server) listClients(c *call) (reply, error) {
	pg, err := parsePage(c.query)
	if err != nil {
		return reply{}, err
	}
	views := s.clients()
	for i := range views {
		views[i].Description = s.describe(views[i].Key)
	}
	return listReply("clients", cut(pg, views), len(views), pg), nil
}

// describe is the name of a key, or the email behind a session.
func (s *Server) describe(keyID string) string {
	if k, err := s.keys.Get(keyID); err == nil {
		return k.Description
	}
	u, err := s.users.find(s.sessions.userOf(keyID))
	if err != nil {
		return ""
	}
	return u.Email
}

// endClient closes a connection; its client may connect again.
func (s *Server) endClient(c *call) (reply, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for one := range s.subscribers {
		if strconv.FormatUint(one.id, 10) == c.PathValue("id") {
			one.end(closePolicy, "ended by the administrator")
			return reply{status: http.StatusNoContent}, nil
		}
	}
	return reply{}, notFound("Client not found")
}
