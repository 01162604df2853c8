package SeckillLuaEdge;

# Lets a suite that was written for the module run against the Lua edge: with
# SECKILL_EDGE=lua in the environment, a block's directives of the
# module are translated into the Lua edge's options. The module is not loaded then, so
# that a directive without a counterpart is an error and not a pass by accident;
# a block that uses one is marked `--- only: module`.

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT_OK = qw(is_lua in_lua gate_in_lua packages_in_lua http_in_lua);

sub is_lua () { ($ENV{SECKILL_EDGE} // 'module') eq 'lua' }

# Takes the directives that Lua has as options out of a text. Returns the options,
# as the Lua edge reads them, and the rest of the text.
sub _options {
    my ($text) = @_;
    my @options;
    $text =~ s/\bseckill_digest\s+([\w-]+)\s*;/push @options, "digest=$1"; ''/ge;
    # The bucket of a second has no burst.
    $text =~ s/\bseckill_rate\s+rate=(\d+)r\/s(?:\s+burst=\d+)?\s*;/push @options, "rate=$1"; ''/ge;
    $text =~ s/\bseckill_user\s+\$(\w+)\s*;/push @options, "user=$1"; ''/ge;
    return (@options ? '"' . join(' ', @options) . '"' : '', $text);
}

my %handler = (
    time  => 'content_by_lua_block { require("edge.time").answer(%s) }',
    path  => 'content_by_lua_block { require("edge.path").answer(%s) }',
    state => 'content_by_lua_block { require("edge.state").answer(%s) }',
);

sub _location {
    my ($options, $body) = _options($_[0]);
    $body =~ s/\bseckill_gate\s+off\s*;//;
    $body =~ s/\bseckill_(time|path|state)\s*;/sprintf $handler{$1}, $options/e;
    return $body;
}

# A block's config, with each of the module's handlers replaced by Lua's.
sub in_lua {
    my ($config) = @_;
    $config =~ s/\{([^{}]*\bseckill_(?:time|path|state|gate)\b[^{}]*)\}/'{' . _location($1) . '}'/ge;
    return $config;
}

# The guarded location, with what a test adds to it.
sub gate_in_lua {
    my ($gate, $more) = @_;
    my ($options, $rest) = _options($more);
    $gate =~ s/pass\(\)/pass($options)/ or die "conf/lua-edge/server.conf does not call pass() any more\n";
    $gate =~ s/\{/{\n$rest/;
    return $gate;
}

# Where the Lua edge's files are: all that its time service needs.
sub packages_in_lua {
    my ($root) = @_;
    return qq(lua_package_path "$root/lua/?.lua;;";\n);
}

# What replaces, in http{}, the module's zone, connection and key ring.
sub http_in_lua {
    my ($root, $redis, $ring) = @_;
    return packages_in_lua($root)
        . qq(init_by_lua_block { require("edge.settings").open{ redis = "$redis", keys = "$ring" } }\n);
}

1;
