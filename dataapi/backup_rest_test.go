package dataapi

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
)

// fakeBackups keeps what it is told.
type fakeBackups struct{ restored string }

func (f *fakeBackups) Prepare(s BackupSecret) (func(context.Context, io.Writer) error, error) {
	if s.Key == "age1bad" {
		return nil, errors.New("a public key is wanted")
	}
	return func(_ context.Context, w io.Writer) error {
		_, err := io.WriteString(w, "sealed with "+s.Passphrase+s.Key)
		return err
	}, nil
}

func (f *fakeBackups) Restore(_ context.Context, r io.Reader, s BackupSecret, check bool) (any, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	if s.Passphrase+s.Key != "good" {
		return nil, &BackupError{errors.New("it does not open the backup")}
	}
	if !check {
		f.restored = string(text)
	}
	return map[string]string{"region": "EU868"}, nil
}

func TestBackupsAreForAdministrators(t *testing.T) {
	f := &fakeBackups{}
	r := start(t, Config{Backups: f})
	const make, put = "/api/v1.0/backup", "/api/v1.0/restore"
	if code, out := r.rest("POST", make, `{"passphrase":"secret"}`); code != 200 || out["text"] != "sealed with secret" {
		t.Error(code, out)
	}
	if code, out := r.rest("POST", make, `{"backup":{"recipient":"age1good"}}`); code != 200 || out["text"] != "sealed with age1good" {
		t.Error(code, out)
	}
	for _, bad := range []string{`{}`, `{"passphrase":""}`, `{"passphrase":"a","recipient":"b"}`, `{"recipient":"age1bad"}`, `{"passphrase":5}`, `nonsense`} {
		if code, out := r.rest("POST", make, bad); code != 400 {
			t.Errorf("%s: %d %v", bad, code, out)
		}
	}
	if code, out := r.rest("POST", put+"?check=1", "file", headerPassphrase, "good"); code != 200 || f.restored != "" || out["check"] != true {
		t.Error(code, out, f.restored)
	}
	if code, out := r.rest("POST", put, "file", headerIdentity, "good"); code != 200 || f.restored != "file" || !strings.Contains(out["message"].(string), "next start") {
		t.Error(code, out, f.restored)
	}
	if code, out := r.rest("POST", put, "file", headerPassphrase, "bad"); code != 422 || !strings.Contains(out["message"].(string), "does not open") {
		t.Error(code, out)
	}
	if code, out := r.rest("POST", put, "file"); code != 400 || !strings.Contains(out["message"].(string), headerPassphrase) {
		t.Error(code, out)
	}
	if code, _ := r.rest("POST", put+"?check=perhaps", "file", headerPassphrase, "good"); code != 400 {
		t.Error(code)
	}
	few := r.key(Key{Rights: []Right{RightData, RightDevices, RightGateways, RightSecrets}})
	for _, path := range []string{make, put} {
		if code, _ := r.rest("POST", path, `{"passphrase":"secret"}`, "Authorization", "Bearer "+few, headerPassphrase, "good"); code != 403 {
			t.Errorf("%s: %d without the right keys", path, code)
		}
	}
	if strings.Contains(r.log.String(), "secret") {
		t.Error("the passphrase is in the log")
	}
}

func TestAServerWithoutBackupsSaysSo(t *testing.T) {
	r := start(t, Config{})
	if code, out := r.rest("POST", "/api/v1.0/backup", `{"passphrase":"secret"}`); code != 501 {
		t.Error(code, out)
	}
}
