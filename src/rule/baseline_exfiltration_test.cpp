// SPDX-License-Identifier: Apache-2.0
// Cases of the baseline rules: names that are asked for and requests that are sent.
#include "rule/baseline_cases.h"

namespace cicd::baseline {

namespace {

std::vector<Case> first_part() {
  return {
      {"drop_site_asked",
       {asked("webhook.site", in_step(kCurl)), asked("x.m.pipedream.net", in_step(kCurl)),
        asked("WEBHOOK.site", in_step(kCurl))},
       {asked("registry.example", in_step(kCurl)), asked("mywebhook.site", in_step(kCurl)),
        asked("webhook.site.example.test", in_step(kCurl))}},
      {"out_of_band_site_asked",
       {asked("c23b2la0.oast.fun", in_step(kCurl)),
        asked("abc.burpcollaborator.net", in_step(kCurl))},
       {asked("registry.example", in_step(kCurl)), asked("toast.fun", in_step(kCurl))}},
      {"tunnel_service_asked",
       {asked("a1.ngrok-free.app", in_step(kCurl)), asked("x.trycloudflare.com", in_step(kCurl))},
       {asked("registry.example", in_step(kCurl))}},
      {"paste_site_asked",
       {asked("pastebin.com", in_step(kCurl)), asked("transfer.sh", in_step(kCurl))},
       {asked("registry.example", in_step(kCurl)), asked("profile.io", in_step(kCurl))}},
      {"chat_service_asked",
       {asked("discord.com", in_step(kCurl)), asked("api.telegram.org", in_step(kCurl))},
       {asked("registry.example", in_step(kCurl)), asked("telegram.example.test", in_step(kCurl))}},
      {"mining_pool_asked",
       {asked("pool.supportxmr.com", in_step(kCurl)), asked("xmr.2miners.com", in_step(kCurl))},
       {asked("registry.example", in_step(kCurl))}},
      {"encrypted_dns_asked",
       {asked("dns.google", in_step(kCurl)), asked("mozilla.cloudflare-dns.com", in_step(kCurl))},
       {asked("registry.example", in_step(kCurl)),
        asked("dns.google", in_step({"/usr/lib/firefox/firefox", {"firefox"}}))}},
  };
}

std::vector<Case> second_part() {
  return {
      {"onion_name_asked",
       {asked("expyuzz4wqqyqhjn.onion", in_step(kCurl)), asked("x.onion.ly", in_step(kCurl))},
       {asked("registry.example", in_step(kCurl)), asked("onions.example.test", in_step(kCurl))}},
      {"dynamic_name_asked",
       {asked("evil.duckdns.org", in_step(kCurl))},
       {asked("registry.example", in_step(kCurl))}},
      {"metadata_name_asked",
       {asked("metadata.google.internal", in_step(kCurl))},
       {asked("registry.example", in_step(kCurl)),
        asked("metadata.google.internal", in_step({"/usr/bin/gcloud", {"gcloud"}}))}},
      {"own_address_asked",
       {asked("ifconfig.me", in_step(kCurl)), asked("api.ipify.org", in_step(kCurl))},
       {asked("registry.example", in_step(kCurl))}},
      {"name_asked_by_tool",
       {asked("a.example.test", in_step({"/usr/bin/dig", {"dig"}})),
        asked("a.example.test", in_step({"/usr/bin/getent", {"getent"}}))},
       {asked("a.example.test", in_step(kCurl))}},
      {"metadata_path_requested",
       {request("GET", "169.254.169.254", "/latest/meta-data/iam/", in_step(kCurl)),
        request("GET", "10.0.0.1", "/computeMetadata/v1/", in_step(kPython))},
       {request("GET", "169.254.169.254", "/latest/meta-data/", in_step(kAws)),
        request("GET", "x.test", "/latest/", in_step(kCurl))}},
      {"chat_webhook_posted",
       {request("POST", "discord.com", "/api/webhooks/1/x", in_step(kCurl)),
        request("POST", "api.telegram.org", "/bot1:x/sendMessage", in_step(kCurl))},
       {request("GET", "discord.com", "/api/webhooks/1/x", in_step(kCurl)),
        request("POST", "x.test", "/bot", in_step(kCurl))}},
  };
}

std::vector<Case> third_part() {
  return {
      {"script_fetched_in_clear",
       {request("GET", "x.test", "/install.sh", in_step(kCurl))},
       {request("GET", "localhost:8080", "/install.sh", in_step(kCurl)),
        request("POST", "x.test", "/install.sh", in_step(kCurl)),
        request("GET", "x.test", "/a.tgz", in_step(kCurl)),
        request("GET", "x.test", "/a.sh", in_step(kCurl))
            .text(field::http_request::kSource, "openssl")}},
      {"program_fetched_in_clear",
       {request("GET", "x.test", "/a.exe", in_step(kCurl))},
       {request("GET", "127.0.0.1:80", "/a.exe", in_step(kCurl)),
        request("GET", "deb.x.test", "/a.deb", in_step(kCurl))}},
      {"data_sent_in_clear",
       {request("PUT", "x.test", "/a", in_step(kCurl)),
        request("POST", "x.test", "/a", in_step({"/usr/bin/wget", {"wget"}}))},
       {request("POST", "127.0.0.1:80", "/a", in_step(kCurl)),
        request("POST", "x.test", "/a", in_step(kPython)),
        request("GET", "x.test", "/a", in_step(kCurl))}},
      {"engine_asked_over_tcp",
       {request("POST", "10.0.0.2:2375", "/v1.41/containers/create", in_step(kPython)),
        request("POST", "10.0.0.2:2375", "/containers/ab/exec", in_step(kCurl))},
       {request("POST", "10.0.0.2:2375", "/v1.41/containers/create", in_step(kDocker)),
        request("GET", "10.0.0.2:2375", "/v1.41/containers/json", in_step(kCurl))}},
  };
}

}  // namespace

std::vector<Case> exfiltration_cases() {
  return joined({first_part(), second_part(), third_part()});
}

}  // namespace cicd::baseline
