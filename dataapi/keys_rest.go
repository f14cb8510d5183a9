package dataapi

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
)

// keyView is a key as the Management API shows it. The token is there once,
// in the answer to POST.
type keyView struct {
	ID          string      `json:"id"`
	UserID      string      `json:"user_id"`
	Org         string      `json:"org"`
	Description string      `json:"description"`
	AccessToken string      `json:"access_token,omitempty"`
	Permissions Permissions `json:"permissions"`
	Rights      []Right     `json:"rights"`
	Scope       *lists      `json:"scope,omitempty"`
	Created     *int64      `json:"created"`
}

func viewKey(k Key, token string) keyView {
	return keyView{k.ID, k.UserID, k.Org, k.Description, token, k.shownPermissions(), shownRights(&k), k.Scope, unixOrNull(k.Created)}
}

func shownRights(k *Key) []Right { return append([]Right{}, k.Rights...) }

func (s *Server) keyList() methods {
	return methods{
		http.MethodGet: func(c *call) (reply, error) {
			pg, err := parsePage(c.query)
			if err != nil {
				return reply{}, err
			}
			views := []keyView{}
			for _, k := range s.keys.List() {
				if c.key.May("keys", read, k.ID) {
					views = append(views, viewKey(k, ""))
				}
			}
			return listReply("keys", cut(pg, views), len(views), pg), nil
		},
		http.MethodPost: func(c *call) (reply, error) {
			body, err := c.body("key")
			if err != nil {
				return reply{}, err
			}
			k := Key{Org: s.cfg.Org}
			if err := patchKey(&k, body); err != nil {
				return reply{}, err
			}
			k, token, err := s.keys.Create(k)
			if err != nil {
				return reply{}, err
			}
			return reply{http.StatusCreated, map[string]keyView{"key": viewKey(k, token)}}, nil
		},
	}
}

func (s *Server) keyOne() methods {
	return methods{
		http.MethodGet: func(c *call) (reply, error) {
			k, err := s.keys.Get(strings.ToLower(c.PathValue("id")))
			return keyReply(k, err)
		},
		http.MethodPatch: func(c *call) (reply, error) {
			body, err := c.body("key")
			if err != nil {
				return reply{}, err
			}
			k, err := s.keys.Update(strings.ToLower(c.PathValue("id")), func(k *Key) error { return patchKey(k, body) })
			return keyReply(k, err)
		},
		http.MethodDelete: func(c *call) (reply, error) {
			if _, err := keyReply(Key{}, s.keys.Revoke(strings.ToLower(c.PathValue("id")))); err != nil {
				return reply{}, err
			}
			return reply{status: http.StatusNoContent}, nil
		},
	}
}

func keyReply(k Key, err error) (reply, error) {
	if errors.Is(err, ErrUnknownKey) {
		return reply{}, notFound("Key not found")
	}
	if err != nil {
		return reply{}, err
	}
	return reply{http.StatusOK, map[string]keyView{"key": viewKey(k, "")}}, nil
}

const permissionsWanted = `{resource: {id or "*": ["create", "read", "update", "delete"]}} is wanted`

// patchKey sets what the client gave. Ids of users and organisations and the
// permissions are kept as sent.
func patchKey(k *Key, body fields) error {
	for name, into := range map[string]*string{"user_id": &k.UserID, "org": &k.Org, "description": &k.Description} {
		if !body.given(name) {
			continue
		}
		v, err := textOrNumber(body, name)
		if err != nil {
			return err
		}
		*into = v
	}
	if body.given("permissions") {
		var p Permissions
		if err := json.Unmarshal(body.m["permissions"], &p); err != nil {
			return badField("permissions", "%s", permissionsWanted)
		}
		k.Permissions = p
	}
	if body.given("rights") {
		var names []string
		if err := json.Unmarshal(body.m["rights"], &names); err != nil {
			return badField("rights", "a list out of %v is wanted", AllRights())
		}
		rights, err := ParseRights(strings.Join(names, ","))
		if err != nil {
			return badField("rights", "%v", err)
		}
		k.Rights = rights
	}
	return patchScope(k, body)
}

// patchScope sets what the client gave of the scope; null is none.
func patchScope(k *Key, body fields) error {
	raw, ok := body.m["scope"]
	if !ok {
		return nil
	}
	if isNull(raw) {
		k.Scope = nil
		return nil
	}
	o, err := body.object("scope")
	if err != nil {
		return err
	}
	var l lists
	if k.Scope != nil {
		l = *k.Scope
	}
	if err := l.patch(o); err != nil {
		return err
	}
	if k.Scope = &l; l == (lists{}) {
		k.Scope = nil
	}
	return nil
}
