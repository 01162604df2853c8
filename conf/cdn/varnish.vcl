vcl 4.1;

# A CDN of one's own in front of the shop: Varnish 6 or newer. Adapt the origin's address
# and the renderer's network, and name Varnish to the back end:
#   SECKILL_PURGE_URLS=http://10.0.0.9  SECKILL_PREWARM_URLS=http://10.0.0.9
#
# Start varnishd with -p http_req_hdr_len=32k -p http_req_size=64k -p workspace_client=192k
# -p workspace_backend=192k: a shop's domain may have collected cookies of more than the 8k
# that Varnish takes by itself, and the edge takes lines of 32k.
#
# Pages are kept until they are purged, though browsers must not keep them; assets and
# pictures never change under their names. Everything else is passed on: what is
# personal, and every purchase. docs/cdn.md has the reasons and what to do when the CDN's
# budget is used up.

backend origin {
    .host = "10.0.0.5";
    .port = "8080";
    .connect_timeout = 1s;
    # Longer than a purchase waits for a permit and for the back end.
    .first_byte_timeout = 10s;
    .between_bytes_timeout = 5s;
    .probe = {
        .url = "/api/time";
        .interval = 1s;
        .timeout = 1s;
        .window = 4;
        .threshold = 2;
    }
}

# Who may purge: the ops role's machines.
acl renderer {
    "127.0.0.1";
    "10.0.0.0"/8;
}

sub vcl_recv {
    # A client's own header would be believed by the edge.
    set req.http.X-Forwarded-For = client.ip;
    unset req.http.X-Cdn;

    if (req.method == "PURGE") {
        if (client.ip !~ renderer) {
            return (synth(403, "Forbidden"));
        }
        # The page is fetched past the cache and stored. Removing it instead would let a
        # fetch that began before the change store the old page afterwards.
        set req.method = "GET";
        set req.hash_always_miss = true;
        set req.http.X-Cdn = "purge";
    }

    # What everybody may see alike: the same for every visitor, whatever they send.
    if (req.url ~ "^/(product|assets|pictures)/" || req.url ~ "^/([^/?]*\.html|(version|left|announcement)\.json)?(\?|$)") {
        if (req.method != "GET" && req.method != "HEAD") {
            return (pass);
        }
        unset req.http.Cookie;
        unset req.http.Authorization;
        # Campaigns add what no page reads; each would be a copy of its own.
        set req.url = regsub(req.url, "\?.*$", "");
        return (hash);
    }
    if (req.http.X-Cdn) {
        return (synth(404, "Nothing is cached there"));
    }
    if (req.method == "PRI") {
        return (synth(405));
    }
    return (pass);
}

# By the path alone: the renderer's purge has another Host than shoppers do. One Varnish
# serves one shop.
sub vcl_hash {
    hash_data(req.url);
    return (lookup);
}

sub vcl_backend_response {
    if (bereq.uncacheable) {
        return (deliver);
    }
    # Another status may be a refusal of this one visitor, such as 429 (too many requests) or
    # 403 (a foreign Referer), or an origin that fails.
    if (beresp.status != 200 && beresp.status != 301 && beresp.status != 302 && beresp.status != 404 && beresp.status != 410) {
        # The copy that is there is served, old as it is.
        if (bereq.is_bgfetch) {
            return (abandon);
        }
        set beresp.uncacheable = true;
        set beresp.ttl = 0s;
        return (deliver);
    }
    # Whoever is named in a response is its only reader.
    if (beresp.http.Set-Cookie || beresp.http.Cache-Control ~ "(?i)private|no-store" || beresp.http.Vary ~ "(?i)cookie|authorization|\*") {
        set beresp.uncacheable = true;
        set beresp.ttl = 5s;
        return (deliver);
    }
    if (beresp.status == 200) {
        # For the ban of a page that is removed.
        set beresp.http.X-Path = bereq.url;
        if (bereq.url ~ "^/(left|announcement)\.json$") {
            set beresp.ttl = 1s;
            set beresp.grace = 5s;
        } else if (bereq.url ~ "^/(assets|pictures)/") {
            set beresp.ttl = 365d;
            set beresp.grace = 1d;
        } else {
            # Until it is purged; the hour is for purges that were lost.
            set beresp.ttl = 1h;
            set beresp.grace = 1d;
        }
    } else {
        # 404 of a page that is about to be published, 301.
        set beresp.ttl = 5s;
        set beresp.grace = 0s;
        # Of a page that was removed: its copies would come back when this response, which
        # only hides them, has expired. Only where there may be one, since strangers ask
        # for what is not there.
        if ((beresp.status == 404 || beresp.status == 410) && (bereq.http.X-Cdn || bereq.is_bgfetch)) {
            ban("obj.http.X-Path == " + bereq.url);
        }
    }
    return (deliver);
}

sub vcl_deliver {
    if (obj.uncacheable) {
        set resp.http.X-Cache = "PASS";
    } else if (obj.hits > 0) {
        set resp.http.X-Cache = "HIT";
    } else {
        set resp.http.X-Cache = "MISS";
    }
    # Which software and which request it was is nobody's business.
    unset resp.http.Via;
    unset resp.http.X-Path;
    unset resp.http.X-Varnish;
    # A browser revalidates each time by the ETag; an age would confuse it.
    unset resp.http.Age;
    return (deliver);
}
