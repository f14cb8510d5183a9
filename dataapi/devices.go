package dataapi

import (
	"bytes"
	"errors"
	"net/http"
	"slices"
	"strings"

	"gatewayd/nsedge"
	"gatewayd/radio"
)

func (s *Server) deviceList() methods {
	return methods{http.MethodGet: s.listDevices, http.MethodPost: s.createDevice}
}

func (s *Server) deviceOne() methods {
	return methods{http.MethodGet: s.getDevice, http.MethodPatch: s.updateDevice, http.MethodDelete: s.deleteDevice}
}

// found is a device in a list before the page is cut: there may be 100 000,
// so only what sorts them is kept.
type found struct {
	eui  radio.EUI64
	keys []string
}

func (s *Server) listDevices(c *call) (reply, error) {
	edge, err := s.theEdge()
	if err != nil {
		return reply{}, err
	}
	pg, err := parsePage(c.query)
	if err != nil {
		return reply{}, err
	}
	terms, err := parseDeviceQuery(c.query)
	if err != nil {
		return reply{}, err
	}
	order, err := parseSort(c.query, deviceSorts())
	if err != nil {
		return reply{}, err
	}
	var all []found
	err = edge.Devices(c.Context(), func(d nsedge.Device) bool {
		if matchAll(terms, &d, s.cfg.Org) && c.key.May("devices", read, d.DevEUI.String()) && c.key.covers(&d) {
			f := found{eui: d.DevEUI}
			for _, o := range order {
				f.keys = append(f.keys, sortKey(&d, o.field))
			}
			all = append(all, f)
		}
		return true
	})
	if err != nil {
		return reply{}, err
	}
	sortFound(all, order)
	views := []deviceView{}
	for _, f := range cut(pg, all) {
		d, err := edge.Device(c.Context(), f.eui)
		if errors.Is(err, nsedge.ErrUnknownDevice) {
			continue // deleted meanwhile
		}
		if err != nil {
			return reply{}, err
		}
		views = append(views, s.view(c, &d))
	}
	return listReply("devices", views, len(all), pg), nil
}

// sortFound is stable on the order of DevEUI.
func sortFound(all []found, order []sorting) {
	slices.SortStableFunc(all, func(a, b found) int {
		for i, o := range order {
			v := strings.Compare(a.keys[i], b.keys[i])
			if o.reverse {
				v = -v
			}
			if v != 0 {
				return v
			}
		}
		return bytes.Compare(a.eui[:], b.eui[:])
	})
}

func (s *Server) view(c *call, d *nsedge.Device) deviceView {
	return viewDevice(d, s.cfg.Org, c.key.SeesSecrets(d.DevEUI.String()))
}

func (s *Server) deviceReply(c *call, status int, d *nsedge.Device) reply {
	return reply{status, map[string]deviceView{"device": s.view(c, d)}}
}

func (s *Server) createDevice(c *call) (reply, error) {
	edge, err := s.theEdge()
	if err != nil {
		return reply{}, err
	}
	body, err := c.body("device")
	if err != nil {
		return reply{}, err
	}
	if !body.given("dev_eui") {
		return reply{}, missingField("dev_eui", "16 hex digits are wanted")
	}
	d := newDevice(s.cfg.Org)
	if err := patchDevice(&d, body); err != nil {
		return reply{}, err
	}
	chooseActivation(&d)
	dropHalfSession(&d)
	if !c.key.covers(&d) {
		return reply{}, errOutOfScope
	}
	if err := edge.CreateDevice(c.Context(), d); err != nil {
		return reply{}, err
	}
	made, err := edge.Device(c.Context(), d.DevEUI)
	if err != nil {
		return reply{}, err
	}
	return s.deviceReply(c, http.StatusCreated, &made), nil
}

// newDevice has the defaults of the API.
func newDevice(org string) nsedge.Device {
	return nsedge.Device{Encryption: nsedge.KeysAtNS, Class: "A", CountersSize: 4, ADR: nsedge.ADR{Mode: "on"}, Org: org}
}

// chooseActivation goes by the keys where the client did not say.
func chooseActivation(d *nsedge.Device) {
	if d.Activation != "" {
		return
	}
	d.Activation = nsedge.OTAA
	if d.NwkSKey != nil && d.AppKey == nil {
		d.Activation = nsedge.ABP
	}
}

// dropHalfSession: existing clients send session keys or an address beside an
// app_key, which are a session only together. The device's join makes one.
func dropHalfSession(d *nsedge.Device) {
	if d.Activation == nsedge.OTAA && d.AppKey != nil && (d.DevAddr == nil || d.NwkSKey == nil) {
		d.DevAddr, d.NwkSKey, d.AppSKey, d.SNwkSIntKey, d.NwkSEncKey = nil, nil, nil, nil, nil
	}
}

func (s *Server) getDevice(c *call) (reply, error) {
	edge, eui, err := s.one(c)
	if err != nil {
		return reply{}, err
	}
	d, err := c.device(edge, eui)
	if err != nil {
		return reply{}, err
	}
	return s.deviceReply(c, http.StatusOK, &d), nil
}

// device is a device within the key's scope; others do not exist.
func (c *call) device(edge Edge, eui radio.EUI64) (nsedge.Device, error) {
	d, err := edge.Device(c.Context(), eui)
	if err == nil && !c.key.covers(&d) {
		return d, nsedge.ErrUnknownDevice
	}
	return d, err
}

func (s *Server) updateDevice(c *call) (reply, error) {
	edge, eui, err := s.one(c)
	if err != nil {
		return reply{}, err
	}
	body, err := c.body("device")
	if err != nil {
		return reply{}, err
	}
	d, err := edge.UpdateDevice(c.Context(), eui, func(d *nsedge.Device) error {
		if !c.key.covers(d) {
			return nsedge.ErrUnknownDevice
		}
		if err := patchDevice(d, body); err != nil {
			return err
		}
		if d.DevEUI != eui {
			return badField("dev_eui", "%q is another device than the path's %s; a DevEUI can't change", d.DevEUI, eui)
		}
		if !c.key.covers(d) {
			return errOutOfScope
		}
		return nil
	})
	if err != nil {
		return reply{}, err
	}
	return s.deviceReply(c, http.StatusOK, &d), nil
}

func (s *Server) deleteDevice(c *call) (reply, error) {
	edge, eui, err := s.one(c)
	if err != nil {
		return reply{}, err
	}
	if _, err := c.device(edge, eui); err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusNoContent}, edge.DeleteDevice(c.Context(), eui)
}

// one is the device that the path names.
func (s *Server) one(c *call) (Edge, radio.EUI64, error) {
	eui, err := parsePathEUI(c.PathValue("id"))
	if err != nil {
		return nil, eui, err
	}
	edge, err := s.theEdge()
	return edge, eui, err
}
