package chart

import (
	"strings"
	"testing"
)

func TestRefused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ values, want string }{
		"A typo":                                  {"registy.replicas=1", "additional properties 'registy' not allowed"},
		"A typo below":                            {"registry.persistance.enabled=true", "additional properties 'persistance' not allowed"},
		"A typo in a list":                        {"config.registries[0].host=a.b,config.registries[0].endpoint=x", "additional properties 'endpoint' not allowed"},
		"A key that the storage driver lacks":     {"registry.persistence.s3.bucket=b,registry.persistence.s3.buckets=b", "additional properties 'buckets' not allowed"},
		"A storage driver without its bucket":     {"registry.persistence.s3.region=r", "missing property 'bucket'"},
		"Days":                                    {"config.expiryDelay=30d", "does not match pattern"},
		"A number of text":                        {"registry.replicas=two", "want integer"},
		"Always from the cache for ever":          {"webhook.ignorePullPolicyAlways=false", "Set config.updateInterval (0s: at every pull, 1h: once an hour)"},
		"The same, and never is said":             {"webhook.ignorePullPolicyAlways=false,config.updateInterval=never", "Set config.updateInterval"},
		"Both ways in":                            {"mirror.enabled=true,webhook.enabled=true", "mirror.enabled and webhook.enabled: one way in is enough"},
		"Two who make the certificate":            {"webhook.certManager.enabled=true,webhook.certificate.existingSecret=s,webhook.certificate.caBundle=eA==", "cert-manager makes the certificate"},
		"A certificate that nobody trusts":        {"webhook.certificate.existingSecret=s", "webhook.certificate: the API server trusts existingSecret only with the caBundle"},
		"Two replicas on one volume":              {"registry.replicas=2", "registry.replicas=2: replicas share an object store, a volume belongs to one"},
		"Two replicas on one claim":               {"registry.replicas=2,registry.persistence.existingClaim=c", "registry.replicas=2"},
		"Two object stores":                       {"registry.persistence.s3.bucket=b,registry.persistence.gcs.bucket=b", "images are in one place"},
		"A claim beside an object store":          {"registry.persistence.s3.bucket=b,registry.persistence.existingClaim=c", "existingClaim has no use with s3"},
		"A claim without persistence":             {"registry.persistence.enabled=false,registry.persistence.existingClaim=c", "existingClaim is not used with registry.persistence.enabled=false"},
		"A redirect to a volume":                  {"registry.persistence.redirect=true", "a volume has no addresses of its own"},
		"A sweep without a pause":                 {"config.sweep.interval=0s", "interval"},
		"An expiry at once":                       {"config.expiryDelay=0h0s", "expiryDelay"},
		"A limit of words":                        {"config.store.maxSize=large", "maxSize"},
		"Credentials of no object store":          {"registry.persistence.existingSecret=s", "registry.persistence.existingSecret is for object storage"},
		"Credentials whose keys are not said":     {"registry.persistence.s3.bucket=b,registry.persistence.existingSecret=s", "existingSecretKeys says which environment variable has which key"},
		"A budget of two kinds":                   {"controller.pdb.maxUnavailable=1", "controller.pdb: a budget has either minAvailable or maxUnavailable"},
		"One port for images and metrics":         {"proxy.metrics.listen=:7439", "that port is proxy.hostPort"},
		"An authority of two kinds":               {"config.registries[0].host=a.b,config.registries[0].caFrom.secret=s,config.registries[0].caFrom.configMap=c", "caFrom names either a secret or a configMap"},
		"Two sinks":                               {"events.sink=https://x,events.existingSecret=s", "Set one of the two"},
		"An authority of no sink":                 {"events.caFrom.secret=s", "have no use without a sink"},
		"A sink that is none":                     {"events.sink=mailto:x", "sink"},
		"Hooks without a secret":                  {"hooks.enabled=true", "Set both enabled and existingSecret"},
		"Hooks that nobody hears":                 {"hooks.existingSecret=s", "Set both enabled and existingSecret"},
		"Credentials that are in a value's place": {"token.token=t", "additional properties 'token' not allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, problem, err := try(t, "--set", tt.values); err == nil || !strings.Contains(problem, tt.want) {
				t.Errorf("got %v, %s, want %s", err, problem, tt.want)
			}
		})
	}
}

// What is refused above is not refused for more than that.
func TestAccepted(t *testing.T) {
	t.Parallel()
	for _, values := range []string{
		"webhook.ignorePullPolicyAlways=false,config.updateInterval=0s",
		"webhook.ignorePullPolicyAlways=false,webhook.alwaysWithoutUpdateInterval=true",
		"webhook.ignorePullPolicyAlways=false,mirror.enabled=true",
		"mirror.enabled=true,webhook.enabled=false",
		"registry.replicas=2,registry.persistence.s3.regionendpoint=http://127.0.0.1:9000,registry.persistence.s3.bucket=b",
		"controller.pdb.maxUnavailable=1,controller.pdb.minAvailable=null",
		"config.registries[0].host=origin.example,config.registries[0].endpoints[0]=http://127.0.0.1:5000",
	} {
		if _, problem, err := try(t, "--set", values); err != nil {
			t.Errorf("%s: %v\n%s", values, err, problem)
		}
	}
}
