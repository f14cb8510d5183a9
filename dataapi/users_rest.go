package dataapi

import (
	"errors"
	"net/http"
	"reflect"
	"time"
)

// userView is a user as the Management API shows it.
type userView struct {
	ID          string      `json:"id"`
	Email       string      `json:"email"`
	Name        string      `json:"name"`
	Org         string      `json:"org"`
	Permissions Permissions `json:"permissions"`
	Created     *int64      `json:"created"`
}

func viewUser(u user) userView {
	return userView{u.ID, u.Email, u.Name, u.Org, u.Permissions, unixOrNull(u.Created)}
}

func userReply(status int, u user) reply {
	return reply{status, map[string]userView{"user": viewUser(u)}}
}

// userProblem translates the errors of [users].
func userProblem(err error) error {
	switch {
	case errors.Is(err, errUnknownUser):
		return notFound("User not found")
	case errors.Is(err, errUserExists):
		return &problem{http.StatusForbidden, codeUserExists, "email", "User already existing"}
	}
	return err
}

func (s *Server) userList() methods {
	return methods{
		http.MethodGet: func(c *call) (reply, error) {
			pg, err := parsePage(c.query)
			if err != nil {
				return reply{}, err
			}
			views := []userView{}
			for _, u := range s.users.list() {
				if c.key.May("users", read, u.ID) {
					views = append(views, viewUser(u))
				}
			}
			return listReply("users", cut(pg, views), len(views), pg), nil
		},
		http.MethodPost: func(c *call) (reply, error) {
			body, err := c.body("user")
			if err != nil {
				return reply{}, err
			}
			u, err := s.newUser(c, body)
			if err != nil {
				return reply{}, err
			}
			return userReply(http.StatusCreated, u), nil
		},
	}
}

// newUser makes a user, who may do everything unless the body says otherwise.
func (s *Server) newUser(c *call, body fields) (user, error) {
	for _, name := range []string{"email", "password"} {
		if !body.given(name) && !(name == "password" && body.given("password_hash")) {
			return user{}, missingField(name, "a user signs in with email and password")
		}
	}
	u := user{ID: randomHex(8), Org: s.cfg.Org, Permissions: allPermissions(), Created: time.Now().UTC().Truncate(time.Second)}
	if err := s.users.patch(c.Context(), &u, body); err != nil {
		return user{}, err
	}
	return u, userProblem(s.users.put(u))
}

// userOne takes an id or an email in the path. What changes how a user signs
// in, or what the user may do, ends that user's sessions.
func (s *Server) userOne() methods {
	one := func(f func(*call, user) (reply, error)) func(*call) (reply, error) {
		return func(c *call) (reply, error) {
			u, err := s.users.find(c.PathValue("id"))
			if err != nil {
				return reply{}, userProblem(err)
			}
			return f(c, u)
		}
	}
	return methods{
		http.MethodGet: one(func(_ *call, u user) (reply, error) { return userReply(http.StatusOK, u), nil }),
		http.MethodPatch: one(func(c *call, u user) (reply, error) {
			body, err := c.body("user")
			if err != nil {
				return reply{}, err
			}
			before := u
			if err := s.users.patch(c.Context(), &u, body); err != nil {
				return reply{}, err
			}
			if err := s.users.put(u); err != nil {
				return reply{}, userProblem(err)
			}
			if u.Email == before.Email && u.Password == before.Password && reflect.DeepEqual(u.Permissions, before.Permissions) {
				return userReply(http.StatusOK, u), nil
			}
			return userReply(http.StatusOK, u), s.sessions.endAll(u.ID)
		}),
		http.MethodDelete: one(func(_ *call, u user) (reply, error) {
			if err := s.users.remove(u.ID); err != nil {
				return reply{}, userProblem(err)
			}
			return reply{status: http.StatusNoContent}, s.sessions.endAll(u.ID)
		}),
	}
}
