package certificate

import (
	"crypto/x509"
	"slices"
	"time"
)

// announced is how long everybody has to learn that a certificate is trusted before it is served, and that another one is served before it
// is not trusted any more. Kubelets bring a changed ConfigMap or Secret to their pods within two minutes.
const announced = time.Hour

// succession is how one certificate of the registry follows the other: the next one is trusted first, then it takes the place of the one
// that serves, and that one is trusted for a while yet.
type succession struct {
	host    string
	settle  time.Duration // announced; a test has less
	serving *pair         // nil: none
	next    *pair         // nil: none is announced
	trusted []*x509.Certificate
	since   time.Time // when serving began to serve; zero: nobody knows
	asked   bool      // somebody wants another one now
}

// step returns what there should be at a time. Where nothing is to be changed, that is what there is.
func (s succession) step(now time.Time) (succession, error) {
	if !s.serving.good(s.host, now) {
		return s.begin(now)
	}
	if s.since.IsZero() {
		s.since = now
	}
	var err error
	switch {
	case s.next == nil && (s.asked || s.serving.certificate.NotAfter.Sub(now) < life/3), s.next != nil && !s.trusts(s.next):
		s.asked = false
		s.next, err = newPair(s.host, now)
	case s.next == nil && now.Sub(s.since) >= s.settle:
		s.trusted = nil // but for those that are added below
	case s.next != nil && now.Sub(s.next.made()) >= s.settle:
		s.serving, s.next, s.since = s.next, nil, now
	}
	return s.withTrust(), err
}

// begin serves at once what there is: nobody can be waited for.
func (s succession) begin(now time.Time) (succession, error) {
	serving := s.next
	if !serving.good(s.host, now) {
		var err error
		if serving, err = newPair(s.host, now); err != nil {
			return s, err
		}
	}
	s.serving, s.next, s.since, s.asked = serving, nil, now, false
	return s.withTrust(), nil
}

func (s succession) trusts(p *pair) bool { return slices.ContainsFunc(s.trusted, p.certificate.Equal) }

// withTrust trusts what serves and what is going to.
func (s succession) withTrust() succession {
	s.trusted = slices.Clone(s.trusted)
	for _, p := range []*pair{s.serving, s.next} {
		if p != nil && !s.trusts(p) {
			s.trusted = append(s.trusted, p.certificate)
		}
	}
	return s
}
