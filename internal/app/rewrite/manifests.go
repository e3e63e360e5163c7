package rewrite

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kjson "sigs.k8s.io/json"

	"github.com/larder-dev/larder/internal/strictyaml"
)

// pod is a pod, or one as a workload's template makes it.
type pod struct {
	kind, namespace, name string
	pod                   *corev1.Pod
}

// manifests are what the files hold that matters here.
type manifests struct {
	pods       []pod
	namespaces map[string]map[string]string // labels by name
	remarks    []string
}

// source is a place in a file.
type source struct {
	file     string
	document strictyaml.Document
	field    string // of the object in a List; else empty
}

// at says where a field is: "pod.yaml:3".
func (s source) at(field string) string {
	return fmt.Sprintf("%s:%d", s.file, s.document.LineOf(strings.Trim(s.field+"."+field, ".")))
}

// add reads a file, and returns all that is wrong with it.
func (m *manifests) add(file string, text []byte) error {
	if file == "-" {
		file = "standard input"
	}
	documents, problems := strictyaml.Parse(text)
	errs := located(file, problems)
	for _, document := range documents {
		var object map[string]any
		if problems := document.Decode(&object); len(problems) > 0 {
			errs = append(errs, located(file, problems)...)
			continue
		}
		errs = append(errs, m.object(source{file: file, document: document}, object))
	}
	return errors.Join(errs...)
}

func located(file string, problems []strictyaml.Problem) []error {
	var errs []error
	for _, p := range problems {
		line := p.Line
		p.Line = 0
		errs = append(errs, fmt.Errorf("%s:%d: %w", file, line, p))
	}
	return errs
}

// object takes one object in, or those of a List.
func (m *manifests) object(at source, object map[string]any) error {
	kind, _ := object["kind"].(string)
	switch items, isList := object["items"].([]any); {
	case kind == "":
		return fmt.Errorf("%s: the kind is missing: write whole manifests, such as kubectl get --output yaml prints", at.at(""))
	case isList && strings.HasSuffix(kind, "List"):
		return m.items(at, strings.TrimSuffix(kind, "List"), items)
	case kind == "Namespace":
		var namespace corev1.Namespace
		if err := decode(at, object, &namespace); err != nil {
			return err
		}
		m.namespaces[namespace.Name] = namespace.Labels
		return nil
	case !hasPods(object, kind):
		m.remarks = append(m.remarks, fmt.Sprintf("%s: %s is passed over: it has no pod template that Larder knows", at.at("kind"), kind))
		return nil
	}
	p, err := podOf(at, kind, object)
	if err == nil {
		m.pods = append(m.pods, p)
	}
	return err
}

// items takes in the objects of a List; those of a PodList may leave out their kind.
func (m *manifests) items(at source, kind string, items []any) error {
	var errs []error
	for i, item := range items {
		at := source{file: at.file, document: at.document, field: strings.Trim(fmt.Sprintf("%s.items[%d]", at.field, i), ".")}
		object, ok := item.(map[string]any)
		if !ok {
			errs = append(errs, fmt.Errorf("%s: %s: write an object", at.at(""), at.field))
			continue
		}
		if object["kind"] == nil && kind != "" {
			object["kind"] = kind
		}
		errs = append(errs, m.object(at, object))
	}
	return errors.Join(errs...)
}

// groups are those of the kinds that have pods; others have kinds of these names, too.
var groups = map[string]string{
	"Pod": "", "PodTemplate": "", "ReplicationController": "", "Deployment": "apps", "StatefulSet": "apps", "DaemonSet": "apps", "ReplicaSet": "apps",
	"Job": "batch", "CronJob": "batch",
}

func hasPods(object map[string]any, kind string) bool {
	want, known := groups[kind]
	apiVersion, written := object["apiVersion"].(string)
	group, _, grouped := strings.Cut(apiVersion, "/")
	if !grouped {
		group = ""
	}
	return known && (!written || group == want)
}

// workload is what all kinds with a pod template look like.
type workload struct {
	Metadata metav1.ObjectMeta       `json:"metadata"`
	Template *corev1.PodTemplateSpec `json:"template"` // a PodTemplate's
	Spec     struct {
		Template    *corev1.PodTemplateSpec `json:"template"`
		JobTemplate struct {
			Spec struct {
				Template *corev1.PodTemplateSpec `json:"template"`
			} `json:"spec"`
		} `json:"jobTemplate"`
	} `json:"spec"`
}

func podOf(at source, kind string, object map[string]any) (pod, error) {
	if kind == "Pod" {
		var p corev1.Pod
		err := decode(at, object, &p)
		return pod{kind: kind, namespace: p.Namespace, name: cmp.Or(p.Name, p.GenerateName), pod: &p}, err
	}
	var w workload
	if err := decode(at, object, &w); err != nil {
		return pod{}, err
	}
	template := cmp.Or(w.Template, w.Spec.Template, w.Spec.JobTemplate.Spec.Template)
	if template == nil {
		return pod{}, fmt.Errorf("%s: the %s has no pod template: write one", at.at("spec"), kind)
	}
	return pod{
		kind: kind, namespace: w.Metadata.Namespace, name: cmp.Or(w.Metadata.Name, w.Metadata.GenerateName),
		pod: &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec},
	}, nil
}

// decode reads what this version of Kubernetes' types knows, and passes over the rest.
func decode(at source, object map[string]any, into any) error {
	text, err := json.Marshal(object)
	if err != nil {
		return fmt.Errorf("%s: %w", at.at(""), err)
	}
	err = kjson.UnmarshalCaseSensitivePreserveInts(text, into)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("%s: %s: a %s: write a %s", at.at(wrong.Field), wrong.Field, wrong.Value, wrong.Type)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", at.at(""), err)
	}
	return nil
}
