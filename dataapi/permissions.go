package dataapi

import (
	"fmt"
	"slices"
	"strings"
)

// Right is a coarse permission, as keys made by the command line and the GUI
// carry them: everything that can be done with one resource.
type Right string

// Rights.
const (
	RightData     Right = "data"     // connect to the Data API, hear and answer
	RightDevices  Right = "devices"  // list, create, change and delete devices
	RightKeys     Right = "keys"     // make and revoke keys, with any rights: the administrator's
	RightGateways Right = "gateways" // see the gateways
	RightSecrets  Right = "secrets"  // see device keys; goes with devices
)

// AllRights in the order of the documentation.
func AllRights() []Right {
	return []Right{RightData, RightDevices, RightKeys, RightGateways, RightSecrets}
}

// ParseRights reads a comma separated list.
func ParseRights(list string) ([]Right, error) {
	var rights []Right
	for name := range strings.SplitSeq(list, ",") {
		r := Right(strings.ToLower(strings.TrimSpace(name)))
		switch {
		case r == "":
		case !slices.Contains(AllRights(), r):
			return nil, fmt.Errorf("right %s is unknown; allowed are %v", shown(name), AllRights())
		case !slices.Contains(rights, r):
			rights = append(rights, r)
		}
	}
	return rights, nil
}

// Actions of [Permissions].
const (
	create = "create"
	read   = "read"
	update = "update"
	remove = "delete"
)

// Permissions say what may be done: resource -> id or "*" -> actions, the
// shape that Everynet's clients send.
type Permissions map[string]map[string][]string

// allow tells whether an action on one thing is permitted.
func (p Permissions) allow(resource, action, id string) bool {
	ids := p[resource]
	if slices.Contains(ids["*"], action) {
		return true
	}
	for name, actions := range ids {
		if strings.EqualFold(name, id) && slices.Contains(actions, action) {
			return true
		}
	}
	return false
}

// some tells whether an action is permitted on anything at all.
func (p Permissions) some(resource, action string) bool {
	for _, actions := range p[resource] {
		if slices.Contains(actions, action) {
			return true
		}
	}
	return false
}

// coveredBy is the right that includes a resource which has none of its own.
func coveredBy(resource string) Right {
	switch resource {
	case "filters":
		return RightData
	case "users", "connections", "system", "backup", "lab":
		return RightKeys
	case "radio":
		return RightGateways
	}
	return Right(resource)
}

// May tells whether the key permits an action ("create", "read", "update" or
// "delete") on the thing with that id.
func (k *Key) May(resource, action, id string) bool {
	return slices.Contains(k.Rights, coveredBy(resource)) || k.Permissions.allow(resource, action, id)
}

// mayList tells whether a list of the resource makes sense for the key; each
// member is asked for separately.
func (k *Key) mayList(resource string) bool {
	return slices.Contains(k.Rights, coveredBy(resource)) || k.Permissions.some(resource, read)
}

// MayConnect tells whether the key opens the Data API: by the right data, or
// by permissions to read data or devices. Where these name devices one by one,
// it hears of those.
func (k *Key) MayConnect() bool {
	return k.mayHearAll() || len(k.allowedDevices()) > 0
}

func (k *Key) mayHearAll() bool {
	return k.May("data", read, "*") || k.Permissions.allow("devices", read, "*")
}

// SeesSecrets tells whether device keys are shown: to keys with the right
// secrets, and to those whose permissions name devices: read, else exports by
// existing clients lose the keys silently.
func (k *Key) SeesSecrets(device string) bool {
	return slices.Contains(k.Rights, RightSecrets) || k.Permissions.allow("devices", read, device)
}

// shownPermissions are the permissions as sent, or what the rights amount to.
func (k *Key) shownPermissions() Permissions {
	if k.Permissions != nil {
		return k.Permissions
	}
	p := Permissions{}
	for _, r := range k.Rights {
		if r != RightSecrets {
			p[string(r)] = map[string][]string{"*": {create, read, update, remove}}
		}
	}
	return p
}
