namespace ZeroFlow.Architecture.Tests;

// Files and methods that fit on a few screens are read whole before they are changed.
public sealed class SizeTests
{
    private const int FileLinesMax = 500;
    private const int MemberLinesMax = 70;

    [Fact]
    public void No_file_is_longer_than_500_lines() =>
        Breaches.None(SourceTree.CSharp()
            .Select(file => (file, Lines: SourceTree.Read(file).Count(c => c == '\n')))
            .Where(f => f.Lines > FileLinesMax)
            .Select(f => $"{f.file}: {f.Lines} lines"));

    [Fact]
    public void No_method_is_longer_than_70_lines() =>
        Breaches.None(
            from file in SourceTree.CSharp()
            from member in CSharpMembers.Of(SourceTree.Read(file))
            where member.Lines > MemberLinesMax
            select $"{file}:{member.FirstLine}: {member.Lines} lines: {member.Header}");

    // Guards the two tests above against a scanner that finds nothing.
    [Fact]
    public void The_scanner_finds_the_members_of_the_product() =>
        Assert.True(SourceTree.CSharp("src").Sum(file => CSharpMembers.Of(SourceTree.Read(file)).Count) > 50);
}
