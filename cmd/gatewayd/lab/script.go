package lab

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// Script is a file of cases: the functions whose names begin with "test_".
type Script struct {
	Name  string
	Doc   string   // its docstring
	Cases []string // in the order of the file
	docs  map[string]string
	text  []byte
}

// options of the language: what a test wants, nothing that makes it hard to read.
func options() *syntax.FileOptions {
	return &syntax.FileOptions{While: true, TopLevelControl: true, GlobalReassign: true, Set: true}
}

// Load reads a script; the error names line and column.
func Load(name string, text []byte) (*Script, error) {
	f, err := options().Parse(name, text, 0)
	if err != nil {
		return nil, fmt.Errorf("read the script: %w", err)
	}
	s := &Script{Name: name, Doc: docstring(f.Stmts), docs: map[string]string{}, text: text}
	for _, statement := range f.Stmts {
		if def, ok := statement.(*syntax.DefStmt); ok && strings.HasPrefix(def.Name.Name, "test_") {
			s.Cases = append(s.Cases, def.Name.Name)
			s.docs[def.Name.Name] = docstring(def.Body)
		}
	}
	if len(s.Cases) == 0 {
		return nil, fmt.Errorf(`read the script: %s has no case: a function whose name begins with "test_"`, name)
	}
	return s, nil
}

// About is the docstring of a case: what it tests, and by which section.
func (s *Script) About(name string) string { return s.docs[name] }

// docstring is the text that a body begins with.
func docstring(body []syntax.Stmt) string {
	if len(body) == 0 {
		return ""
	}
	first, _ := body[0].(*syntax.ExprStmt)
	if first == nil {
		return ""
	}
	if text, ok := first.X.(*syntax.Literal); ok {
		s, _ := text.Value.(string)
		return s
	}
	return ""
}

// Outcome of a case.
type Outcome string

// Outcomes.
const (
	Passed  Outcome = "passed"
	Failed  Outcome = "failed"  // the device did not do what was expected
	Broken  Outcome = "broken"  // the script is wrong, or the bench failed
	Skipped Outcome = "skipped" // the script said so
)

// Step is one call of a verb in a case.
type Step struct {
	At   time.Duration // since the case began
	Line string        // FILE:LINE
	Text string
}

// CaseResult is what came out of one case.
type CaseResult struct {
	Case    string
	Outcome Outcome
	Message string // why it did not pass
	Where   string // FILE:LINE
	Begun   time.Time
	Took    time.Duration // on the bench's clock
	Steps   []Step
}

// errSkip ends a case that has nothing to test here.
var errSkip = errors.New("skipped")

// errCheck is a failed check.
var errCheck = errors.New("check failed")

// maxSteps of the interpreter bounds a script that runs wild without waiting.
const maxSteps = 5_000_000

// Run runs one case on a bench.
func (s *Script) Run(ctx context.Context, b *Bench, name string) CaseResult {
	res := CaseResult{Case: name, Begun: time.Now()}
	say := &speaker{ctx: ctx, bench: b, res: &res}
	thread := &starlark.Thread{Name: name, Print: func(t *starlark.Thread, msg string) { say.step(t, msg) }}
	thread.SetMaxExecutionSteps(maxSteps)
	stop := context.AfterFunc(ctx, func() { thread.Cancel(context.Cause(ctx).Error()) })
	defer stop()
	err := say.play(thread, s, name)
	res.Took = time.Since(res.Begun)
	res.judge(err)
	return res
}

func (r *CaseResult) judge(err error) {
	if err == nil {
		r.Outcome = Passed
		return
	}
	r.Message = err.Error()
	if evaluated, ok := errors.AsType[*starlark.EvalError](err); ok {
		for i := range evaluated.CallStack {
			if pos := evaluated.CallStack.At(i).Pos; pos.Line > 0 {
				r.Where = fmt.Sprintf("%s:%d", pos.Filename(), pos.Line)
				break
			}
		}
		r.Message = evaluated.Msg
	}
	timeout, timedOut := errors.AsType[*TimeoutError](err)
	switch {
	case errors.Is(err, errSkip):
		r.Outcome, r.Message = Skipped, strings.TrimPrefix(r.Message, errSkip.Error()+": ")
	case timedOut:
		r.Outcome, r.Message = Failed, timeout.Error()
	case errors.Is(err, errCheck), strings.HasPrefix(r.Message, "fail: "), errors.Is(err, errUnexpected):
		r.Outcome, r.Message = Failed, strings.TrimPrefix(r.Message, "fail: ")
	default:
		r.Outcome = Broken
	}
}

// speaker turns a script's calls into verbs.
type speaker struct {
	ctx   context.Context
	bench *Bench
	res   *CaseResult
}

func (s *speaker) play(thread *starlark.Thread, script *Script, name string) error {
	globals, err := starlark.ExecFileOptions(options(), thread, script.Name, script.text, s.words())
	if err != nil {
		return err
	}
	f, ok := globals[name].(*starlark.Function)
	if !ok {
		return fmt.Errorf("%w: %s has no case %q", ErrCall, script.Name, name)
	}
	_, err = starlark.Call(thread, f, nil, nil)
	return err
}

// words are what a script can use besides the language.
func (s *speaker) words() starlark.StringDict {
	d := starlark.StringDict{
		"check": starlark.NewBuiltin("check", check),
		"skip":  starlark.NewBuiltin("skip", skip),
		"note":  starlark.NewBuiltin("note", s.note),
		"text":  starlark.NewBuiltin("text", number),
	}
	for name := range vocabulary() {
		d[name] = s.builtin(name, "")
	}
	return d
}

// builtin is a verb, of a device if one is given.
func (s *speaker) builtin(name, device string) *starlark.Builtin {
	return starlark.NewBuiltin(name, func(t *starlark.Thread, f *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		named := map[string]any{}
		if len(args) > 0 {
			first, ok := firstArgument()[name]
			if !ok || len(args) > 1 {
				return nil, fmt.Errorf("%w: %s takes its arguments by name, such as %s(within = 30)", ErrCall, f.Name(), f.Name())
			}
			v, err := toGo(args[0])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", f.Name(), err)
			}
			named[first] = v
		}
		for _, kv := range kwargs {
			key, _ := starlark.AsString(kv[0])
			v, err := toGo(kv[1])
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", f.Name(), key, err)
			}
			named[key] = v
		}
		if device != "" {
			named["device"] = device
		}
		s.step(t, told(name, named))
		out, err := s.bench.Call(s.ctx, name, named)
		if err != nil {
			return nil, err
		}
		return s.fromGo(out)
	})
}

// firstArgument is what a single argument without a name means.
func firstArgument() map[string]string {
	return map[string]string{"answer": "payload", "push": "payload", "fault": "kind", "mac": "command", "wait": "seconds", "rejoin": "type", "expect_notice": "code", "expect_silence": "seconds", "disarm": "id", "send_raw": "hex"}
}

// told is a call in words, without keys.
func told(name string, args map[string]any) string {
	var words []string
	for _, k := range slices.Sorted(maps.Keys(args)) {
		if strings.HasSuffix(k, "key") {
			continue
		}
		words = append(words, fmt.Sprintf("%s=%v", k, args[k]))
	}
	return name + " " + strings.Join(words, " ")
}

func (s *speaker) step(t *starlark.Thread, text string) {
	pos := t.CallFrame(t.CallStackDepth() - 1).Pos
	for depth := range t.CallStackDepth() { // the innermost frame of the script
		if p := t.CallFrame(depth).Pos; p.Line > 0 {
			pos = p
			break
		}
	}
	s.res.Steps = append(s.res.Steps, Step{time.Since(s.res.Begun), fmt.Sprintf("%s:%d", pos.Filename(), pos.Line), strings.TrimSpace(text)})
}

// check(condition, message) ends the case if the condition is false.
func check(_ *starlark.Thread, f *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var ok starlark.Value
	message := "it is not so"
	if err := starlark.UnpackArgs(f.Name(), args, kwargs, "condition", &ok, "message?", &message); err != nil {
		return nil, err
	}
	if !ok.Truth() {
		return nil, fmt.Errorf("%w: %s", errCheck, message)
	}
	return starlark.None, nil
}

// skip(message) ends a case that makes no sense here.
func skip(_ *starlark.Thread, f *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var message string
	if err := starlark.UnpackArgs(f.Name(), args, kwargs, "message", &message); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%w: %s", errSkip, message)
}

// number(value, digits) is a number as text, with so many decimals: the
// language's own % can't round.
func number(_ *starlark.Thread, f *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var value starlark.Value
	var digits int
	if err := starlark.UnpackArgs(f.Name(), args, kwargs, "value", &value, "digits", &digits); err != nil {
		return nil, err
	}
	x, ok := starlark.AsFloat(value)
	if !ok || digits < 0 || digits > 9 {
		return nil, fmt.Errorf("%w: text(%v, %d): a number and 0 to 9 decimals are wanted", ErrCall, value, digits)
	}
	return starlark.String(strconv.FormatFloat(x, 'f', digits, 64)), nil
}

// note(message) writes a line into the report.
func (s *speaker) note(t *starlark.Thread, f *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var message string
	if err := starlark.UnpackArgs(f.Name(), args, kwargs, "message", &message); err != nil {
		return nil, err
	}
	s.step(t, message)
	return starlark.None, nil
}
