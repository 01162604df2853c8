#!/usr/bin/env perl
# Checks the layers of the crates: scripts/layers.pl [CRATE/src...]; all of them,
# run in the repository's folder, without arguments.
#
# The modules of a crate stand in lib.rs in the order of their layers: each may use
# those that are declared before it. Deeper down, modules with the same parent may
# use each other in one direction only, each with all that is below it. (A module
# and its own parts are one piece: they may use each other.) Test modules do not
# count. A crate has at most 20 modules in lib.rs, as many as a newcomer can keep apart.
#
# Prints each arrow that runs up and each circle with the files and names that make
# it, and ends with status 1 if there is one. --test checks this script itself.
use strict;
use warnings;
use File::Find;
use File::Temp qw(tempdir);

my $most_layers = 20;

# --- Reading -----------------------------------------------------------------

# The paths of a `use` tree: "a::{b, c::{d, e}}" is a::b, a::c::d, a::c::e.
sub paths_of {
    my ($tree) = @_;
    $tree =~ s/\s+as\s+\w+//g;
    $tree =~ s/\s+//g;
    my ($head, $body) = $tree =~ /^([^{]*)\{(.*)\}$/ or return $tree;
    my ($depth, $part, @parts) = (0, '');
    for my $c (split //, $body) {
        $depth++ if $c eq '{';
        $depth-- if $c eq '}';
        if ($c eq ',' && !$depth) { push @parts, $part; $part = '' }
        else                      { $part .= $c }
    }
    push @parts, $part;
    return map { paths_of($head . $_) } grep { length } @parts;
}

# What a file says, without comments, texts, and the tests at its end.
sub code_of {
    my ($path) = @_;
    open my $file, '<', $path or die "$path: $!\n";
    local $/;
    my $code = <$file>;
    $code =~ s{//[^\n]*}{}g;
    $code =~ s/"(?:[^"\\]|\\.)*"/""/gs;
    $code =~ s/#\[cfg\(test\)\]\s*(?:pub(?:\([^)]*\))?\s+)?mod \w+ \{.*//s;
    return $code;
}

# All modules of a crate: name ("" is the root) to file and code. A module that is
# declared for tests only is left out.
sub modules_of {
    my ($root) = @_;
    my (%modules, %tests);
    find({ no_chdir => 1, wanted => sub {
        return unless /\.rs$/ && !m{/main\.rs$};
        my $name = substr $_, length($root) + 1;
        $name =~ s/\.rs$//;
        $name =~ s{/}{::}g;
        $name = '' if $name eq 'lib';
        $modules{$name} = { file => $_, code => code_of($_) };
    } }, $root);
    for my $name (keys %modules) {
        while ($modules{$name}{code} =~ /#\[cfg\(test\)\]\s*(?:pub(?:\([^)]*\))?\s+)?mod (\w+);/g) {
            $tests{ $name ? "${name}::$1" : $1 } = 1;
        }
    }
    for my $name (keys %modules) {
        delete $modules{$name} if grep { $name eq $_ || $name =~ /^\Q$_\E::/ } keys %tests;
    }
    return \%modules;
}

# The arrows of one module: [the module that is used, the name that is taken].
sub arrows_of {
    my ($name, $modules) = @_;
    my $code = $modules->{$name}{code};
    my @paths;
    $code =~ s/\buse\s+([^;]+);/push @paths, paths_of($1); ''/ge;
    push @paths, $1 while $code =~ /(?<![\w:])((?:crate|super)(?:::\w+)+)/g;
    my @arrows;
    for my $path (@paths) {
        my @steps = split /::/, $path;
        if ($steps[0] eq 'crate') { shift @steps }
        elsif ($steps[0] eq 'super') {
            my @base = split /::/, $name;
            while (@steps && $steps[0] eq 'super') { shift @steps; pop @base }
            @steps = (@base, @steps);
        }
        else { next }
        my @rest;
        while (@steps && !$modules->{ join '::', @steps }) { unshift @rest, pop @steps }
        push @arrows, [join('::', @steps), join('::', @rest) || '*'];
    }
    return @arrows;
}

# --- Judging -----------------------------------------------------------------

# The faults of one crate, a sentence each.
sub faults_of {
    my ($root) = @_;
    my $modules = modules_of($root);
    my @faults;
    my %layer;
    my $number = 0;
    $layer{$1} //= ++$number while $modules->{''}{code} =~ /\bmod (\w+);/g;

    push @faults, "$root/lib.rs declares $number modules, more than $most_layers; give one a parent"
        if $number > $most_layers;

    # Per parent: from sibling to sibling, one arrow as an example.
    my %between;
    for my $name (sort keys %$modules) {
        next if $name eq '';
        for my $arrow (arrows_of($name, $modules)) {
            my ($used, $taken) = @$arrow;
            next if $used eq '';
            my @from = split /::/, $name;
            my @to = split /::/, $used;
            my @parent;
            while (@from && @to && $from[0] eq $to[0]) { push @parent, shift @from; shift @to }
            next unless @from && @to;
            my $example = "$modules->{$name}{file} uses $used\::$taken";
            if (!@parent && ($layer{ $from[0] } // 0) < ($layer{ $to[0] } // 0)) {
                push @faults, "$example, which is a layer above it in lib.rs";
            }
            $between{ join '::', @parent }{ $from[0] }{ $to[0] } //= $example if @parent;
        }
    }
    for my $parent (sort keys %between) {
        my $uses = $between{$parent};
        my %done;
        for my $start (sort keys %$uses) {
            my @way = circle($uses, $start, \%done) or next;
            push @faults, "a circle in $parent: " . join('; ', map { $uses->{ $way[$_] }{ $way[$_ + 1] } } 0 .. $#way - 1);
        }
    }
    return (\@faults, scalar(keys %$modules), scalar(keys %layer));
}

# A way from $start back to itself, as names; empty if there is none. What was
# looked at in vain before is not looked at again.
sub circle {
    my ($uses, $start, $done) = @_;
    my %seen;
    my @ways = ([$start]);
    while (my $way = shift @ways) {
        for my $next (sort keys %{ $uses->{ $way->[-1] } || {} }) {
            if ($next eq $start) { $done->{$_} = 1 for @$way; return (@$way, $start) }
            push @ways, [@$way, $next] unless $seen{$next}++ || $done->{$next};
        }
    }
    return;
}

# --- This script's own test --------------------------------------------------

sub crate_with {
    my (%files) = @_;
    my $root = tempdir(CLEANUP => 1);
    mkdir "$root/$_" for 'low', 'high';
    for my $path (keys %files) {
        open my $file, '>', "$root/$path" or die "$root/$path: $!\n";
        print $file $files{$path};
    }
    return $root;
}

sub test {
    my %good = (
        'lib.rs' => "pub mod low;\npub mod high;\n",
        'low.rs' => "mod a;\nmod b;\npub struct Own;\n#[cfg(test)]\nmod tests { use crate::high::Top; }\n",
        'low/a.rs' => "use super::Own;\npub struct A;\n",
        'low/b.rs' => "// use crate::high::Top;\nuse super::a::A;\n",
        'high.rs' => "use crate::low::{self, Own};\nstruct Top;\n",
    );
    my %cases = (
        'nothing wrong' => [0, %good],
        'too many layers' => [1, %good, 'lib.rs' => join('', map { "mod m$_;\n" } 1 .. 19) . $good{'lib.rs'}],
        'an arrow that runs up' => [1, %good, 'low/a.rs' => "use crate::{high::Top};\n"],
        'an arrow that runs up inside a function' => [1, %good, 'low/a.rs' => "fn f() { crate::high::top() }\n"],
        'a circle of siblings' => [1, %good, 'low/a.rs' => "use super::b::B;\n"],
        'a circle by way of the crate' => [1, %good, 'low/a.rs' => "use crate::low::b::{B, C};\n"],
    );
    my $wrong = 0;
    for my $title (sort keys %cases) {
        my ($want, %files) = @{ $cases{$title} };
        my ($faults) = faults_of(crate_with(%files));
        next if @$faults == $want;
        $wrong++;
        print STDERR "layers.pl: $title: expected $want faults, found: @$faults\n";
    }
    exit($wrong ? 1 : 0);
}

test() if "@ARGV" eq '--test';
@ARGV = qw(core/src backend/src nginx-module/src bench/load/src) unless @ARGV;
my $bad = 0;
for my $root (@ARGV) {
    my ($faults, $modules, $layers) = faults_of($root);
    print "$_\n" for @$faults;
    $bad += @$faults;
    print "$root: $modules modules in $layers layers, ", scalar(@$faults), " faults\n";
}
exit($bad ? 1 : 0);
