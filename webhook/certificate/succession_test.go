package certificate

import (
	"crypto/x509"
	"testing"
	"time"
)

// line is a succession whose clock a test sets.
type line struct {
	succession
	t   *testing.T
	now time.Time
}

func newLine(t *testing.T) *line {
	t.Helper()
	l := &line{succession: succession{host: "registry", settle: announced}, t: t, now: start}
	l.after(0)
	return l
}

// after lets time pass and looks, as the controller does every minute. What is served must always be trusted.
func (l *line) after(d time.Duration) {
	l.t.Helper()
	l.now = l.now.Add(d)
	next, err := l.step(l.now)
	if err != nil {
		l.t.Fatal(err)
	}
	l.succession = next
	if !l.trusts(l.serving) || !l.serving.good(l.host, l.now) {
		l.t.Errorf("at %s: what is served is not trusted", l.now.Sub(start))
	}
}

func (l *line) want(what string, serving *x509.Certificate, announces bool, trusted int) {
	l.t.Helper()
	if !l.serving.certificate.Equal(serving) || (l.next != nil) != announces || len(l.trusted) != trusted {
		l.t.Errorf("%s: it serves %s (want %s), announces: %v (want %v), trusts %d (want %d)", what, l.serving.certificate.SerialNumber,
			serving.SerialNumber, l.next != nil, announces, len(l.trusted), trusted)
	}
}

func TestSuccession_TheNextIsTrustedBeforeItServesAndTheEarlierAfterwards(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	first := l.serving.certificate
	l.after(announced)
	l.want("young", first, false, 1)
	l.after(life*2/3 - announced)
	l.want("two thirds of its life", first, false, 1)
	l.after(time.Minute)
	l.want("later", first, true, 2)
	second := l.next.certificate
	l.after(announced - time.Second)
	l.want("not yet everybody knows", first, true, 2)
	l.after(time.Second)
	l.want("everybody knows", second, false, 2)
	l.after(announced - time.Second)
	l.want("the first may be served somewhere", second, false, 2)
	l.after(time.Second)
	l.want("the first is served nowhere", second, false, 1)
	if !l.trusted[0].Equal(second) {
		t.Error("the first is trusted for ever")
	}
}

func TestSuccession_MakesAnotherWhereAskedTo(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	first := l.serving.certificate
	l.asked = true
	l.after(time.Minute)
	l.want("asked", first, true, 2)
	if l.asked {
		t.Error("it will be asked again")
	}
	l.trusted = []*x509.Certificate{first} // somebody wrote the ConfigMap anew
	l.after(announced)
	l.want("nobody may know the next one: another one is announced", first, true, 2)
	l.after(announced)
	if l.serving.certificate.Equal(first) {
		t.Error("the next one never serves")
	}
}

func TestSuccession_BeginsAnewWithWhatItHas(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	first := l.serving.certificate
	l.serving = nil // the Secret is gone
	l.after(time.Minute)
	if l.serving.certificate.Equal(first) || len(l.trusted) != 2 {
		t.Errorf("it trusts %d, want the new one and the one that may be served somewhere", len(l.trusted))
	}
	l.trusted = nil // the ConfigMap is gone
	l.since = time.Time{}
	l.after(announced)
	l.want("made again", l.serving.certificate, false, 1)
	l.asked = true
	l.after(life * 1 / 2)
	next := l.next.certificate
	l.now = l.serving.certificate.NotAfter // nobody looked for long
	l.after(time.Second)
	if !l.serving.certificate.Equal(next) {
		t.Error("what is announced does not serve at once, though what serves has ended")
	}
}
