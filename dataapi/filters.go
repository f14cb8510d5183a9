package dataapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// filtersBucket holds stored filters as JSON, by id.
const filtersBucket = "filters"

// storedFilter is a filter as it is kept and shown: its lists are texts, with
// commas, in the words of the Data API's query.
type storedFilter struct {
	ID          string `json:"id"`
	Description string `json:"description"`
	lists
}

// lists are what a filter lets through, each empty for everything.
type lists struct {
	Applications string `json:"applications"`
	Gateways     string `json:"gateways"`
	Tags         string `json:"tags"`
	Devices      string `json:"devices"`
	Types        string `json:"types"`
}

// byName are the fields by name.
func (f *lists) byName() map[string]*string {
	return map[string]*string{"applications": &f.Applications, "gateways": &f.Gateways, "tags": &f.Tags, "devices": &f.Devices, "types": &f.Types}
}

// filter is what it lets through.
func (f *lists) filter() (filter, error) {
	p := parameters{}
	for name, list := range f.byName() {
		if *list != "" {
			p[name] = []string{*list}
		}
	}
	var r request
	err := r.parseLists(p)
	return r.filter, err
}

// patch sets what the client gave.
func (f *storedFilter) patch(body fields) error {
	if body.given("description") {
		text, err := textOrNumber(body, "description")
		if err != nil {
			return err
		}
		f.Description = text
	}
	return f.lists.patch(body)
}

// patch sets what the client gave; a list may also come as a JSON list.
func (f *lists) patch(body fields) error {
	for name, into := range f.byName() {
		raw, ok := body.m[name]
		if !ok {
			continue
		}
		var members []string
		switch {
		case isNull(raw):
			*into = ""
		case json.Unmarshal(raw, &members) == nil:
			*into = strings.Join(members, ",")
		default:
			text, err := body.text(name)
			if err != nil {
				return badField(body.name(name), "%s; a text with commas between its members is wanted", body.raw(name))
			}
			*into = text
		}
	}
	_, err := f.filter()
	if p, ok := errors.AsType[*problem](err); ok {
		p.Code = codeBadField
		if body.path != "" {
			p.Field, p.Message = body.name(p.Field), body.path+"."+p.Message
		}
	}
	return err
}

// errNoFilter says that there is no filter with that id.
var errNoFilter = errors.New("no such filter")

func (s *Server) storedFilter(id string) (storedFilter, error) {
	var f storedFilter
	text, err := s.cfg.Documents.Get(filtersBucket, []byte(id))
	switch {
	case err != nil:
		return f, fmt.Errorf("read filter %s: %w", shown(id), err)
	case text == nil:
		return f, errNoFilter
	}
	return f, json.Unmarshal(text, &f)
}

// filterParts are what a stored filter stands in place of.
func filterParts() []string { return []string{"types", "gateways", "applications", "tags", "devices"} }

// parseRequest reads the query of a connection, the stored filter included.
func (s *Server) parseRequest(p parameters) (request, error) {
	id := p.last("filter")
	if id == "" {
		return parseRequest(p)
	}
	for _, other := range filterParts() {
		if len(p.members(other)) > 0 {
			return request{}, badParameter("filter", "excludes %s; give either the stored filter or the lists", other)
		}
	}
	r, err := parseRequest(p)
	if err != nil {
		return r, err
	}
	f, err := s.storedFilter(strings.ToLower(id))
	if errors.Is(err, errNoFilter) {
		return r, badParameter("filter", "no filter %s is stored; GET /api/%s/filters lists them", shown(id), apiVersion)
	}
	if err != nil {
		return r, err
	}
	duplicates := r.filter.duplicates
	r.filter, err = f.filter()
	r.filter.duplicates = duplicates
	return r, err
}

func (s *Server) filterList() methods {
	return methods{
		http.MethodGet: func(c *call) (reply, error) {
			pg, err := parsePage(c.query)
			if err != nil {
				return reply{}, err
			}
			all := []storedFilter{}
			err = s.cfg.Documents.Each(filtersBucket, func(id, text []byte) error {
				var f storedFilter
				if err := json.Unmarshal(text, &f); err != nil {
					return fmt.Errorf("filter %s: %w", id, err)
				}
				if c.key.May("filters", read, f.ID) {
					all = append(all, f)
				}
				return nil
			})
			if err != nil {
				return reply{}, err
			}
			return listReply("filters", cut(pg, all), len(all), pg), nil
		},
		http.MethodPost: func(c *call) (reply, error) {
			f := storedFilter{ID: randomHex(8)}
			return s.changeFilter(c, &f, http.StatusCreated)
		},
	}
}

func (s *Server) filterOne() methods {
	one := func(c *call) (storedFilter, error) {
		f, err := s.storedFilter(strings.ToLower(c.PathValue("id")))
		if errors.Is(err, errNoFilter) {
			return f, notFound("Filter not found")
		}
		return f, err
	}
	return methods{
		http.MethodGet: func(c *call) (reply, error) {
			f, err := one(c)
			return reply{http.StatusOK, map[string]storedFilter{"filter": f}}, err
		},
		http.MethodPatch: func(c *call) (reply, error) {
			f, err := one(c)
			if err != nil {
				return reply{}, err
			}
			return s.changeFilter(c, &f, http.StatusOK)
		},
		http.MethodDelete: func(c *call) (reply, error) {
			f, err := one(c)
			if err != nil {
				return reply{}, err
			}
			user, err := s.filterUser(f.ID)
			if err != nil {
				return reply{}, err
			}
			if user != "" {
				return reply{}, &problem{http.StatusConflict, codeInUse, "", "connection " + user + " uses this filter; delete the connection first"}
			}
			return reply{status: http.StatusNoContent}, s.cfg.Documents.Delete(filtersBucket, []byte(f.ID))
		},
	}
}

// changeFilter takes the request's body into the filter and keeps it.
func (s *Server) changeFilter(c *call, f *storedFilter, status int) (reply, error) {
	body, err := c.body("filter")
	if err != nil {
		return reply{}, err
	}
	if err := f.patch(body); err != nil {
		return reply{}, err
	}
	text, err := json.Marshal(f)
	if err != nil {
		return reply{}, err
	}
	if err := s.cfg.Documents.Put(filtersBucket, []byte(f.ID), text); err != nil {
		return reply{}, err
	}
	s.restartLinks(f.ID)
	return reply{status, map[string]*storedFilter{"filter": f}}, nil
}
