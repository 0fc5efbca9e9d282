namespace ZeroFlow.Architecture.Tests;

public sealed class ScannerTests
{
    private const string Sample = """"
        using System;
        namespace Some.Where;

        /// <summary>class NotThis { void Hidden() { } }</summary>
        [Obsolete("{")]
        public sealed class Outer<T> : Base<T> where T : class
        {
            private readonly int[] _table = { 1, 2, 3 };
            private static readonly Func<int> Lambda = () =>
            {
                return '}';
            };
            public int Auto { get; init; } = 3;
            public const string Text = $"{(true ? "}" : @"""{")} {{";

            [Fact]
            public void Method(int a = 3)
            {
                var s = """
                    { not a brace
                    """;
                if (a == 3) { Local(); }
                void Local() { }
            }

            public int Expression => Auto switch
            {
                1 => 2,
                _ => 3,
            };

            public static bool operator ==(Outer<T> a, Outer<T> b)
            {
                return true;
            }

            private enum Kind { A, B = 2 }
            private sealed record Pair(int A, int B);
            private struct Inner
            {
                public Inner() : this(1) { /* } */ }
            }
        }
        """";

    [Fact]
    public void Members_are_found_with_their_lines()
    {
        var found = CSharpMembers.Of(Sample).Select(m => (m.Header.Split('(', '=')[0].Trim(), m.FirstLine, m.LastLine));
        Assert.Equal(
            [
                ("public int Auto", 13, 13),
                ("public void Method", 17, 24),
                ("public int Expression", 26, 30),
                ("public static bool operator", 32, 35),
                ("public Inner", 41, 41),
            ],
            found);
    }

    [Fact]
    public void Type_names_are_found_outside_comments() =>
        Assert.Equal(["Outer", "Kind", "Pair", "Inner"], CSharpMembers.TypeNames(Sample));

    [Fact]
    public void What_is_no_code_is_blanked_and_lines_stay()
    {
        var code = CSharpText.CodeOf(Sample);
        Assert.DoesNotContain("Hidden", code, StringComparison.Ordinal);
        Assert.DoesNotContain("not a brace", code, StringComparison.Ordinal);
        Assert.Equal(Sample.Count(c => c == '\n'), code.Count(c => c == '\n'));
        Assert.Equal(code.Count(c => c == '{'), code.Count(c => c == '}'));
    }
}
