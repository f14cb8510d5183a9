package dataapi

import (
	"net/http"
	"strings"

	"gatewayd/nsedge"
	"gatewayd/radio"
)

// Gateway is one of this site's.
type Gateway struct {
	EUI    radio.EUI64
	Band   string
	Online bool
	ClassB *nsedge.ClassBState // nil: unknown
}

type gatewayView struct {
	ID          string           `json:"id"`
	EUI         radio.EUI64      `json:"eui"`
	Network     string           `json:"network"`
	Org         string           `json:"org"`
	Band        string           `json:"band"`
	Online      bool             `json:"online"`
	Geolocation *GatewayPosition `json:"geolocation"`
	ClassB      *beaconView      `json:"class_b,omitempty"`
}

// GatewayPosition is where a gateway stands: degrees, metres.
type GatewayPosition struct {
	Lat float64 `json:"lat"`
	Lng float64 `json:"lng"`
	Alt int     `json:"alt"`
}

func (s *Server) viewGateway(g Gateway) gatewayView {
	v := gatewayView{ID: g.EUI.String(), EUI: g.EUI, Network: s.cfg.Network, Org: s.cfg.Org, Band: g.Band, Online: g.Online, ClassB: viewBeacons(g.ClassB)}
	if s.cfg.Position != nil {
		if p, ok := s.cfg.Position(g.EUI); ok {
			v.Geolocation = &GatewayPosition{p.Lat, p.Lng, p.Altitude}
		}
	}
	return v
}

// theGateways are those that the key may see.
func (s *Server) theGateways(c *call) []gatewayView {
	views := []gatewayView{}
	if s.cfg.Gateways == nil {
		return views
	}
	for _, g := range s.cfg.Gateways() {
		if c.key.May("gateways", read, g.EUI.String()) {
			views = append(views, s.viewGateway(g))
		}
	}
	return views
}

func (s *Server) listGateways(c *call) (reply, error) {
	pg, err := parsePage(c.query)
	if err != nil {
		return reply{}, err
	}
	views := s.theGateways(c)
	return listReply("gateways", cut(pg, views), len(views), pg), nil
}

func (s *Server) getGateway(c *call) (reply, error) {
	for _, v := range s.theGateways(c) {
		if strings.EqualFold(v.ID, c.PathValue("id")) {
			return reply{http.StatusOK, map[string]gatewayView{"gateway": v}}, nil
		}
	}
	return reply{}, notFound("Gateway not found")
}
