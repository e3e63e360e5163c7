package e2e_test

import (
	"strings"
	"testing"

	"github.com/larder-dev/larder/tests/node"
	"github.com/larder-dev/larder/tests/origin"
)

const web = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: NAMESPACE}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: web
        image: "IMAGE"
        readinessProbe: {httpGet: {port: 8080}, periodSeconds: 1}
        securityContext:
          {runAsNonRoot: true, runAsUser: 65532, readOnlyRootFilesystem: true, allowPrivilegeEscalation: false,
           seccompProfile: {type: RuntimeDefault}, capabilities: {drop: [ALL]}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: NAMESPACE}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: members, namespace: NAMESPACE}
spec: {clusterIP: None, selector: {app: web}}
`

func TestNode(t *testing.T) {
	const image = "reg.example/team/web:1"
	newOrigin(t, "reg.example").Push(t, "team/web:1", guests.Image("web 1", "serve", ":8080"))
	newNamespace(t, "node")
	apply(t, web, "NAMESPACE", "node", "IMAGE", image)
	kubectl(t, "wait", "--namespace", "node", "deployment/web", "--for=condition=Available", "--timeout=60s")

	if got := run(t, "node", "asks", "IMAGE", image, "ARGS", "[get, 'http://web']"); got != "web 1" {
		t.Errorf("the Service answers %q, want its pods' version", got)
	}
	got := run(t, "node", "looks", "IMAGE", image, "ARGS", "[lookup, members.node.svc.cluster.local, '2']", "ON_HOST", "true")
	for pod := range strings.FieldsSeq(kubectl(t, "get", "pods", "--namespace", "node", "--selector", "app=web", "--output", "jsonpath={.items[*].status.podIP}")) {
		if !strings.Contains(got, pod) {
			t.Errorf("on the host's network the headless Service resolves to %s, want %s among it", got, pod)
		}
	}
}

func TestNode_PullsThroughTheDefaultMirror(t *testing.T) {
	mirror := newOrigin(t, "_default")
	if err := shared.WriteHosts("_default", "", mirror.URL()); err != nil {
		t.Fatal(err)
	}
	mirror.Push(t, "team/app:1", guests.Image("app 1", "get", "http://"+mirror.Host()+"/v2/"))
	newNamespace(t, "mirror")
	const image = "upstream.example/team/app:1" // which does not exist
	if got := run(t, "mirror", "first", "IMAGE", image, "ARGS", "[]"); got != "{}" {
		t.Errorf("the image's container says %q, want the answer of a registry", got)
	}
	for _, r := range mirror.Requests(origin.Manifests().In("team/app")) {
		if r.Query != "ns=upstream.example" {
			t.Errorf("%s %s?%s: want ns=upstream.example", r.Method, r.Path, r.Query)
		}
	}

	mirror.Refuse()
	run(t, "mirror", "second", "IMAGE", image, "ARGS", "[lookup, kubernetes.default.svc.cluster.local, '1']") // the node has its copy
	mirror.Heal()
	kubectl(t, "delete", "pods", "--namespace", "mirror", "--all", "--now")
	if err := shared.RemoveImage(t.Context(), image); err != nil {
		t.Fatal(err)
	}
	mirror.Forget()
	run(t, "mirror", "third", "IMAGE", image, "ARGS", "[lookup, kubernetes.default.svc.cluster.local, '1']")
	if got := mirror.Count(origin.Blobs()); got == 0 {
		t.Error("after its removal the image was not pulled again")
	}
}

func TestNode_SurvivesAnOutageOfTheAPIServer(t *testing.T) {
	shared.StopAPIServer()
	if out, err := shared.Kubectl(t.Context(), "get", "nodes"); err == nil {
		t.Errorf("the API server is stopped, and answers %s", out)
	}
	if err := shared.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	kubectl(t, "wait", "node/"+node.Name, "--for=condition=Ready", "--timeout=60s")
}
