package hooks

import (
	"cmp"
	"net/http"
	"strings"

	"github.com/larder-dev/larder/internal/imageref"
)

// parseDistribution reads the envelope of distribution's notifications
// (https://distribution.github.io/distribution/about/notifications/#envelope). The host is the one that was pushed to.
func parseDistribution(_ http.Header, body []byte, as string) ([]imageref.Reference, error) {
	var envelope struct {
		Events []struct {
			Action  string
			Target  struct{ Repository, Tag string }
			Request struct{ Host string }
		}
	}
	if err := decode(body, &envelope); err != nil {
		return nil, err
	}
	var p pushes
	for _, e := range envelope.Events {
		if e.Action != "push" {
			continue
		}
		if err := p.add(cmp.Or(as, e.Request.Host)+"/"+e.Target.Repository, e.Target.Tag); err != nil {
			return nil, err
		}
	}
	return p.refs, nil
}

// parseDockerHub reads the payload of Docker Hub's webhooks (https://docs.docker.com/docker-hub/repos/manage/webhooks/). Its callback_url is
// left alone: whoever knows the secret could name any address there.
func parseDockerHub(_ http.Header, body []byte, as string) ([]imageref.Reference, error) {
	var payload struct {
		PushData   struct{ Tag string } `json:"push_data"`
		Repository struct {
			RepoName string `json:"repo_name"`
		}
	}
	if err := decode(body, &payload); err != nil {
		return nil, err
	}
	var p pushes
	err := p.add(cmp.Or(as, "docker.io")+"/"+payload.Repository.RepoName, payload.PushData.Tag)
	return p.refs, err
}

// parseGitHub reads the events package and registry_package
// (https://docs.github.com/en/webhooks/webhook-events-and-payloads#registry_package). Others, such as the ping at the start, tell of no push.
func parseGitHub(header http.Header, body []byte, as string) ([]imageref.Reference, error) {
	type pkg struct {
		Name        string
		Namespace   string
		PackageType string `json:"package_type"`
		Owner       struct{ Login string }
		Version     struct {
			Container struct{ Tag struct{ Name string } } `json:"container_metadata"`
		} `json:"package_version"`
	}
	var payload struct {
		Action          string
		Package         *pkg
		RegistryPackage *pkg `json:"registry_package"`
	}
	if err := decode(body, &payload); err != nil {
		return nil, err
	}
	p := cmp.Or(payload.RegistryPackage, payload.Package)
	kind := header.Get("X-GitHub-Event")
	if kind != "package" && kind != "registry_package" || p == nil || payload.Action != "published" && payload.Action != "updated" {
		return nil, nil
	}
	if !strings.EqualFold(p.PackageType, "container") {
		return nil, nil
	}
	owner := strings.ToLower(cmp.Or(p.Namespace, p.Owner.Login))
	var found pushes
	err := found.add(cmp.Or(as, "ghcr.io")+"/"+owner+"/"+strings.ToLower(p.Name), p.Version.Container.Tag.Name)
	return found.refs, err
}

// parseHarbor reads PUSH_ARTIFACT of Harbor's default payload
// (https://goharbor.io/docs/main/working-with-projects/project-configuration/configure-webhooks/).
func parseHarbor(_ http.Header, body []byte, as string) ([]imageref.Reference, error) {
	var payload struct {
		Type      string
		EventData struct {
			Resources []struct {
				Tag         string
				ResourceURL string `json:"resource_url"`
			}
			Repository struct {
				FullName string `json:"repo_full_name"`
			}
		} `json:"event_data"`
	}
	if err := decode(body, &payload); err != nil {
		return nil, err
	}
	var p pushes
	if payload.Type != "PUSH_ARTIFACT" {
		return nil, nil
	}
	for _, r := range payload.EventData.Resources {
		if strings.HasPrefix(r.Tag, "sha256:") { // an artifact that was pushed without a tag
			continue
		}
		host, _, _ := strings.Cut(r.ResourceURL, "/")
		if err := p.add(cmp.Or(as, host)+"/"+payload.EventData.Repository.FullName, r.Tag); err != nil {
			return nil, err
		}
	}
	return p.refs, nil
}

// parseQuay reads the notification Repository Push
// (https://docs.redhat.com/en/documentation/red_hat_quay/3.4/html/use_red_hat_quay/repository_notifications).
func parseQuay(_ http.Header, body []byte, as string) ([]imageref.Reference, error) {
	var payload struct {
		DockerURL   string   `json:"docker_url"`
		UpdatedTags []string `json:"updated_tags"`
	}
	if err := decode(body, &payload); err != nil {
		return nil, err
	}
	repository := payload.DockerURL
	if _, path, ok := strings.Cut(repository, "/"); ok && as != "" {
		repository = as + "/" + path
	}
	var p pushes
	for _, tag := range payload.UpdatedTags {
		if err := p.add(repository, tag); err != nil {
			return nil, err
		}
	}
	return p.refs, nil
}
