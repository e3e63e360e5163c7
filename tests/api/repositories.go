package api

import (
	"strconv"
	"strings"

	"github.com/larder-dev/larder/api/v1alpha1"
)

// RepositoryCase is a spec, and the fields that are wrong in it.
type RepositoryCase struct {
	Spec  v1alpha1.RepositorySpec
	Wrong []string
}

// Repositories returns specs of Repositories, by what is to be said of them.
func Repositories() map[string]RepositoryCase {
	type spec = v1alpha1.RepositorySpec
	many := strings.Split(strings.Repeat("latest,", 64)+"latest", ",")
	return map[string]RepositoryCase{
		"A name is enough":                             {spec{Name: "postgres"}, nil},
		"A host with a port":                           {spec{Name: "reg.example:5000/team/app"}, nil},
		"An IPv6 host":                                 {spec{Name: "[fd00::1]:5000/team/a__b"}, nil},
		"No name":                                      {spec{}, []string{"spec.name"}},
		"A name with a tag":                            {spec{Name: "postgres:15"}, []string{"spec.name"}},
		"A name with a digest":                         {spec{Name: "postgres@sha256:00"}, []string{"spec.name"}},
		"A name in capitals":                           {spec{Name: "docker.io/Postgres"}, []string{"spec.name"}},
		"A name that is too long":                      {spec{Name: strings.Repeat("a", 513)}, []string{"spec.name"}},
		"An interval in days":                          {spec{Name: "a", UpdateInterval: "1d"}, []string{"spec.updateInterval"}},
		"A negative interval":                          {spec{Name: "a", UpdateInterval: "-1h"}, []string{"spec.updateInterval"}},
		"A bare number":                                {spec{Name: "a", UpdateInterval: "60"}, []string{"spec.updateInterval"}},
		"A filter that is no regexp":                   {spec{Name: "a", UpdateFilters: []string{"ok", "("}}, []string{"spec.updateFilters[1]"}},
		"A filter that only Perl knows":                {spec{Name: "a", UpdateFilters: []string{"(?=x)"}}, []string{"spec.updateFilters[0]"}},
		"An empty filter":                              {spec{Name: "a", UpdateFilters: []string{""}}, []string{"spec.updateFilters[0]"}},
		"Too many filters":                             {spec{Name: "a", UpdateFilters: many}, []string{"spec.updateFilters"}},
		"An unknown mode":                              {spec{Name: "a", UpdateMode: "Always"}, []string{"spec.updateMode"}},
		"Periodic at one minute":                       {spec{Name: "a", UpdateMode: "Periodic", UpdateInterval: "1m"}, nil},
		"Periodic with the default interval":           {spec{Name: "a", UpdateMode: "Periodic"}, nil},
		"Periodic below one minute":                    {spec{Name: "a", UpdateMode: "Periodic", UpdateInterval: "59s"}, []string{"spec.updateInterval"}},
		"Periodic and never":                           {spec{Name: "a", UpdateMode: "Periodic", UpdateInterval: "never"}, []string{"spec.updateInterval"}},
		"A maxStale as long as the interval":           {spec{Name: "a", UpdateInterval: "1h", MaxStale: "60m"}, nil},
		"A maxStale below the interval":                {spec{Name: "a", UpdateInterval: "1h", MaxStale: "59m"}, []string{"spec.maxStale"}},
		"A maxStale of nothing":                        {spec{Name: "a", UpdateInterval: "0s", MaxStale: "0s"}, []string{"spec.maxStale"}},
		"A maxStale that never comes":                  {spec{Name: "a", UpdateInterval: "never", MaxStale: "1h"}, []string{"spec.maxStale"}},
		"A maxStale of never":                          {spec{Name: "a", MaxStale: "never"}, []string{"spec.maxStale"}},
		"Platforms":                                    {spec{Name: "a", Platforms: []string{"linux/amd64", "linux/arm64/v8"}}, nil},
		"A platform without architecture":              {spec{Name: "a", Platforms: []string{"linux"}}, []string{"spec.platforms[0]"}},
		"A platform twice":                             {spec{Name: "a", Platforms: []string{"linux/amd64", "linux/amd64"}}, []string{"spec.platforms[1]"}},
		"A secret name that none can have":             {spec{Name: "a", PullSecretNames: []string{"Hub_Secret"}}, []string{"spec.pullSecretNames[0]"}},
		"An unknown access":                            {spec{Name: "a", Access: "Public"}, []string{"spec.access"}},
		"Several mistakes are told at a time":          {spec{UpdateInterval: "x", Access: "y"}, []string{"spec.name", "spec.updateInterval", "spec.access"}},
		"A host with the highest port":                 {spec{Name: "reg.example:65535/app"}, nil},
		"An organisation of Docker Hub":                {spec{Name: "my-org__a/app"}, nil},
		"A host in capitals":                           {spec{Name: "REG.example/app"}, nil},
		"localhost":                                    {spec{Name: "localhost/app"}, nil},
		"A port that none can have":                    {spec{Name: "reg.example:65536/app"}, []string{"spec.name"}},
		"A port of zero":                               {spec{Name: "reg.example:0/app"}, []string{"spec.name"}},
		"A host with an empty part":                    {spec{Name: "reg..example/app"}, []string{"spec.name"}},
		"A host with a dash at its end":                {spec{Name: "reg.example-/app"}, []string{"spec.name"}},
		"A host with an underscore":                    {spec{Name: "reg_1.example/app"}, []string{"spec.name"}},
		"A host alone":                                 {spec{Name: "reg.example:5000/"}, []string{"spec.name"}},
		"A name with a scheme":                         {spec{Name: "https://docker.io/postgres"}, []string{"spec.name"}},
		"A name with three underscores":                {spec{Name: "a___b"}, []string{"spec.name"}},
		"A name with a space":                          {spec{Name: "postgres "}, []string{"spec.name"}},
		"No interval at all":                           {spec{Name: "a", UpdateInterval: "never"}, nil},
		"An interval of nothing":                       {spec{Name: "a", UpdateInterval: "0s"}, nil},
		"An interval in parts":                         {spec{Name: "a", UpdateInterval: "1h30m0.5s"}, nil},
		"An interval that is too long":                 {spec{Name: "a", UpdateInterval: "1h1h1h1h1h1h1h1h1h"}, []string{"spec.updateInterval"}},
		"An interval as long as there are":             {spec{Name: "a", UpdateInterval: "999999h999999h9h", MaxStale: "999999h999999h9h"}, nil},
		"The longest filter":                           {spec{Name: "a", UpdateFilters: []string{strings.Repeat("é", 256)}}, nil},
		"A filter that is too long":                    {spec{Name: "a", UpdateFilters: []string{strings.Repeat("a", 257)}}, []string{"spec.updateFilters[0]"}},
		"A filter that repeats too much":               {spec{Name: "a", UpdateFilters: []string{"a{1001}"}}, []string{"spec.updateFilters[0]"}},
		"As many filters as there may be":              {spec{Name: "a", UpdateFilters: many[:64]}, nil},
		"A maxStale in days":                           {spec{Name: "a", MaxStale: "7d"}, []string{"spec.maxStale"}},
		"A maxStale with the default interval":         {spec{Name: "a", MaxStale: "1h"}, nil},
		"Too many platforms":                           {spec{Name: "a", Platforms: numbered("linux/a", 33)}, []string{"spec.platforms"}},
		"A platform in capitals":                       {spec{Name: "a", Platforms: []string{"Linux/amd64"}}, []string{"spec.platforms[0]"}},
		"A platform that is too long":                  {spec{Name: "a", Platforms: []string{"linux/" + strings.Repeat("a", 59)}}, []string{"spec.platforms[0]"}},
		"An empty platform":                            {spec{Name: "a", Platforms: []string{""}}, []string{"spec.platforms[0]"}},
		"Secrets":                                      {spec{Name: "a", PullSecretNames: []string{"hub", "hub.team-1"}}, nil},
		"A secret twice":                               {spec{Name: "a", PullSecretNames: []string{"a", "a"}}, []string{"spec.pullSecretNames[1]"}},
		"A secret without a name":                      {spec{Name: "a", PullSecretNames: []string{""}}, []string{"spec.pullSecretNames[0]"}},
		"A secret with too long a name":                {spec{Name: "a", PullSecretNames: []string{strings.Repeat("a", 254)}}, []string{"spec.pullSecretNames[0]"}},
		"Too many secrets":                             {spec{Name: "a", PullSecretNames: numbered("secret-", 17)}, []string{"spec.pullSecretNames"}},
		"A grant for a month":                          {spec{Name: "a", GrantTTL: "720h"}, nil},
		"A grant for no time":                          {spec{Name: "a", GrantTTL: "0s"}, []string{"spec.grantTTL"}},
		"A grant for ever":                             {spec{Name: "a", GrantTTL: "never"}, []string{"spec.grantTTL"}},
		"A history":                                    {spec{Name: "a", HistoryLimit: new(int32(100))}, nil},
		"No history":                                   {spec{Name: "a", HistoryLimit: new(int32(0))}, []string{"spec.historyLimit"}},
		"Too long a history":                           {spec{Name: "a", HistoryLimit: new(int32(101))}, []string{"spec.historyLimit"}},
		"Immutable tags":                               {spec{Name: "a", ImmutableTags: []string{`:v[0-9.]+$`}}, nil},
		"Immutable tags that are not RE2":              {spec{Name: "a", ImmutableTags: []string{"(?=a)"}}, []string{"spec.immutableTags[0]"}},
		"Empty immutable tags":                         {spec{Name: "a", ImmutableTags: []string{""}}, []string{"spec.immutableTags[0]"}},
		"Another origin":                               {spec{Name: "a", Origin: "registry.corp:5000/hardened/nginx"}, nil},
		"An origin with a tag":                         {spec{Name: "a", Origin: "registry.corp/nginx:1"}, []string{"spec.origin"}},
		"An origin with a port that none can have":     {spec{Name: "a", Origin: "registry.corp:70000/nginx"}, []string{"spec.origin"}},
		"Fallback origins":                             {spec{Name: "a", FallbackOrigins: []string{"b.example/a", "c.example/a"}}, nil},
		"A fallback origin in upper case":              {spec{Name: "a", FallbackOrigins: []string{"b.example/a", "c.example/A"}}, []string{"spec.fallbackOrigins[1]"}},
		"Too many fallback origins":                    {spec{Name: "a", FallbackOrigins: numbered("b.example/a-", 9)}, []string{"spec.fallbackOrigins"}},
		"Restart on update":                            {spec{Name: "a", ResolveDigests: true, OnUpdate: "Restart"}, nil},
		"An unknown action on update":                  {spec{Name: "a", OnUpdate: "Recreate"}, []string{"spec.onUpdate"}},
		"Everything":                                   {spec{Name: "reg.example/app", UpdateInterval: "1h", UpdateFilters: []string{"latest"}, UpdateMode: "Periodic", MaxStale: "24h", Platforms: []string{"linux/amd64"}, PullSecretNames: []string{"hub"}, Access: "Shared"}, nil},
		"Mistakes in two durations are told at a time": {spec{Name: "a", UpdateMode: "Periodic", UpdateInterval: "1s", MaxStale: "x"}, []string{"spec.updateInterval", "spec.maxStale"}},
	}
}

func numbered(prefix string, n int) []string {
	var all []string
	for i := range n {
		all = append(all, prefix+strconv.Itoa(i))
	}
	return all
}
