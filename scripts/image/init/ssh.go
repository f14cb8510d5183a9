package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

const (
	sshPort      = ":22"
	mostSSH      = 4                // connections at once
	sshHandshake = 30 * time.Second // within which a client has shown its key
)

// noShell is for those who don't name a command.
const noShell = `There is no shell on this machine. gatewayd's own commands are there, such as

  ssh gatewayd@ADDRESS doctor
  ssh gatewayd@ADDRESS appliance status
  ssh gatewayd@ADDRESS appliance update - < gatewayd-1.1.update
`

// sshServer lets those in whose key is on the card. What they get is the
// daemon's program, as the daemon's user: its commands, and nothing else.
type sshServer struct {
	config  *ssh.ServerConfig
	command func(ctx context.Context, args []string) *exec.Cmd
	log     *slog.Logger
}

func newSSHServer(keys map[string]bool, host ssh.Signer, log *slog.Logger) *sshServer {
	config := &ssh.ServerConfig{
		MaxAuthTries: 6,
		PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if keys[string(key.Marshal())] {
				return nil, nil
			}
			return nil, errors.New("the key is not in system.toml")
		},
	}
	config.AddHostKey(host)
	return &sshServer{config: config, command: asDaemon, log: log}
}

// asDaemon is a command of the daemon's program; what it may do is up to its
// user.
func asDaemon(ctx context.Context, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, gatewayd, args...) //nolint:gosec // our own program
	cmd.Dir, cmd.SysProcAttr = "/", asUser()
	cmd.Env = []string{"HOME=" + stateDir, "PATH=/user", "SSL_CERT_FILE=/etc/ssl/ca-bundle.pem"}
	return cmd
}

// runSSH serves if there are keys on the card.
func runSSH(ctx context.Context, s SSH, log *slog.Logger) {
	keys, err := s.parse()
	if err != nil || len(keys) == 0 {
		return
	}
	host, err := loadHostKey(hostKey)
	if err != nil {
		log.Error("no SSH: the host's key", "err", err)
		return
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", sshPort)
	if err != nil {
		log.Error("no SSH", "err", err)
		return
	}
	log.Info("SSH", "host_key", ssh.FingerprintSHA256(host.PublicKey()), "keys", len(keys))
	newSSHServer(keys, host, log).serve(ctx, l)
}

// loadHostKey reads the key that clients know this machine by, or makes it.
func loadHostKey(file string) (ssh.Signer, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		seed := make([]byte, ed25519.SeedSize)
		_, _ = rand.Read(seed) // never fails
		text = []byte(hex.EncodeToString(seed))
		err = replace(file, text, os.Getuid(), 0o600)
	}
	if err != nil {
		return nil, err
	}
	seed, err := hex.DecodeString(string(text))
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("%s is damaged", file)
	}
	return ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(seed))
}

func (s *sshServer) serve(ctx context.Context, l net.Listener) {
	free := make(chan struct{}, mostSSH)
	for ctx.Err() == nil {
		free <- struct{}{}
		conn, err := l.Accept()
		if err != nil {
			<-free
			wait(ctx, time.Second)
			continue
		}
		go func() {
			defer func() { <-free }()
			s.talk(ctx, conn)
		}()
	}
}

// talk is one connection; its commands run one after the other, and end with it.
func (s *sshServer) talk(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(sshHandshake))
	c, channels, requests, err := ssh.NewServerConn(conn, s.config)
	if err != nil {
		s.log.Warn("SSH refused", "remote", conn.RemoteAddr(), "err", err)
		return
	}
	_ = conn.SetDeadline(time.Time{})
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_ = c.Wait()
		cancel()
	}()
	go ssh.DiscardRequests(requests)
	for n := range channels {
		if n.ChannelType() != "session" {
			_ = n.Reject(ssh.UnknownChannelType, "commands only")
			continue
		}
		ch, reqs, err := n.Accept()
		if err != nil {
			continue
		}
		s.session(ctx, ch, reqs)
	}
}

// session waits for what is wanted, and does it.
func (s *sshServer) session(ctx context.Context, ch ssh.Channel, requests <-chan *ssh.Request) {
	defer func() { _ = ch.Close() }()
	for r := range requests {
		switch r.Type {
		case "exec":
			var want struct{ Command string }
			err := ssh.Unmarshal(r.Payload, &want)
			_ = r.Reply(err == nil, nil)
			go ssh.DiscardRequests(requests)
			exit(ch, s.execute(ctx, ch, want.Command))
			return
		case "shell":
			_ = r.Reply(true, nil)
			go ssh.DiscardRequests(requests)
			_, _ = io.WriteString(ch.Stderr(), strings.ReplaceAll(noShell, "\n", "\r\n"))
			exit(ch, 1)
			return
		default: // a terminal, variables
			_ = r.Reply(false, nil)
		}
	}
}

func exit(ch ssh.Channel, code int) {
	_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{uint32(code)}))
}

// execute runs a command line and returns its exit code.
func (s *sshServer) execute(ctx context.Context, ch ssh.Channel, line string) int {
	args, err := splitWords(line)
	if err != nil {
		fmt.Fprintln(ch.Stderr(), err)
		return 2
	}
	if len(args) > 0 && args[0] == "gatewayd" {
		args = args[1:]
	}
	cmd := s.command(ctx, args)
	cmd.Stdout, cmd.Stderr = ch, ch.Stderr()
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(ch.Stderr(), err)
		return 1
	}
	go func() { // until the client has said all, or the command has ended
		_, _ = io.Copy(in, ch)
		_ = in.Close()
	}()
	if err := cmd.Wait(); err != nil && cmd.ProcessState == nil {
		return 1
	}
	return max(cmd.ProcessState.ExitCode(), 0) // -1: by a signal, as nobody listens any more
}

// splitWords splits a command line as a shell does: by blanks, but for those
// in quotes or after a backslash. Nothing is expanded.
func splitWords(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	begun, quote := false, byte(0)
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			begun, quote = true, c
		case c == '\\' && quote != '\'' && i+1 < len(line):
			i++
			begun = true
			word.WriteByte(line[i])
		case quote == 0 && (c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			if begun {
				words = append(words, word.String())
				word.Reset()
			}
			begun = false
		default:
			begun = true
			word.WriteByte(c)
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("the quote %c has no end", quote)
	}
	if begun {
		words = append(words, word.String())
	}
	return words, nil
}
