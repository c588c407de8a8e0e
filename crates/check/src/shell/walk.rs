//! Goes through a script, everything in it in the order of the text.

use super::{
    Arithmetic, Command, CommandKind, Document, Item, List, Part, PartKind, Pipeline, Script, Simple, Value, Word,
};

/// What is visited.
#[derive(Debug, Clone, Copy)]
pub enum Visited<'s> {
    /// A list: that of the script, of a subshell, a branch, a substitution.
    List(&'s List),
    /// A pipeline, with what joins it to the one before.
    Item(&'s Item),
    /// Any command.
    Command(&'s Command),
    /// A program with its arguments.
    Simple(&'s Simple),
    /// A word: a program's name, an argument, a target of a redirection, a value that is assigned.
    Word(&'s Word, Role),
    /// The text of a here-document.
    Document(&'s Document),
}

/// What a word is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The program, or one of its arguments: the shell cuts it at blanks and looks for files.
    Argument,
    /// Behind `=`: it is neither cut nor are files looked for.
    Assigned,
    /// In `name=(…)`.
    Element,
    /// After `in` of `for`.
    Listed,
    /// After `case`.
    Compared,
    /// Before `)` in `case`.
    Pattern,
    /// Of a redirection.
    Target,
    /// In `[[ … ]]`.
    Tested,
    /// Behind an operator of `${name…}`.
    Operand,
}

/// Where something stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Context {
    /// In the text of another shell: `sh -c '…'`.
    pub inner: bool,
    /// In `$(…)`, backticks or `<(…)`.
    pub substituted: bool,
    /// In a pipeline of several commands: its place there, from 0, and how many there are.
    pub pipe: Option<(usize, usize)>,
    /// It is the condition of `if`, `while` or `until`.
    pub condition: bool,
    /// In `( … )`.
    pub subshell: bool,
    /// In the body of a function.
    pub function: bool,
    /// In the body of a loop.
    pub looped: bool,
}

/// Is told of everything.
type Visitor<'v, 's> = &'v mut dyn FnMut(Visited<'s>, Context);

impl Script {
    /// Calls `visitor` for everything in it, what contains before what is contained.
    pub fn visit<'s>(&'s self, visitor: Visitor<'_, 's>) {
        list(&self.list, Context::default(), visitor);
    }
}

fn list<'s>(all: &'s List, context: Context, visitor: Visitor<'_, 's>) {
    visitor(Visited::List(all), context);
    for item in &all.items {
        visitor(Visited::Item(item), context);
        pipeline(&item.pipeline, context, visitor);
    }
}

fn pipeline<'s>(pipeline: &'s Pipeline, context: Context, visitor: Visitor<'_, 's>) {
    let several = pipeline.commands.len();
    for (at, one) in pipeline.commands.iter().enumerate() {
        let pipe = if several > 1 { Some((at, several)) } else { context.pipe };
        command(one, Context { pipe, ..context }, visitor);
    }
}

fn command<'s>(command: &'s Command, context: Context, visitor: Visitor<'_, 's>) {
    visitor(Visited::Command(command), context);
    // What stands in it is not itself part of the pipeline.
    let within = Context { pipe: None, condition: false, ..context };
    match &command.kind {
        CommandKind::Simple(one) => simple(one, context, visitor),
        CommandKind::Subshell(all) => list(all, Context { subshell: true, ..context }, visitor),
        CommandKind::Group(all) => list(all, context, visitor),
        CommandKind::If { branches, otherwise } => {
            for (condition, body) in branches {
                list(condition, Context { condition: true, ..within }, visitor);
                list(body, within, visitor);
            }
            otherwise.iter().for_each(|all| list(all, within, visitor));
        }
        CommandKind::Loop { condition, body, .. } => {
            list(condition, Context { condition: true, ..within }, visitor);
            list(body, Context { looped: true, ..within }, visitor);
        }
        CommandKind::For { words, body, .. } => {
            words.iter().flatten().for_each(|one| word(one, Role::Listed, within, visitor));
            list(body, Context { looped: true, ..within }, visitor);
        }
        CommandKind::ForArithmetic { head, body } => {
            arithmetic(head, within, visitor);
            list(body, Context { looped: true, ..within }, visitor);
        }
        CommandKind::Case { word: compared, arms } => {
            word(compared, Role::Compared, within, visitor);
            for arm in arms {
                arm.patterns.iter().for_each(|one| word(one, Role::Pattern, within, visitor));
                list(&arm.body, within, visitor);
            }
        }
        CommandKind::Function { body, .. } => self::command(body, Context { function: true, ..within }, visitor),
        CommandKind::Test(words) => words.iter().for_each(|one| word(one, Role::Tested, within, visitor)),
        CommandKind::Arithmetic(one) => arithmetic(one, within, visitor),
    }
    for redirection in &command.redirections {
        word(&redirection.target, Role::Target, within, visitor);
        if let Some(document) = &redirection.document {
            visitor(Visited::Document(document), within);
            parts(&document.parts, within, visitor);
        }
    }
}

fn simple<'s>(simple: &'s Simple, context: Context, visitor: Visitor<'_, 's>) {
    visitor(Visited::Simple(simple), context);
    let within = Context { pipe: None, condition: false, ..context };
    for assignment in &simple.assignments {
        match &assignment.value {
            Value::Word(one) => word(one, Role::Assigned, within, visitor),
            Value::Array(all) => all.iter().for_each(|one| word(one, Role::Element, within, visitor)),
        }
    }
    simple.words.iter().for_each(|one| word(one, Role::Argument, within, visitor));
    if let Some(inner) = &simple.inner {
        list(&inner.list, Context { inner: true, ..context }, visitor);
    }
}

fn word<'s>(word: &'s Word, role: Role, context: Context, visitor: Visitor<'_, 's>) {
    visitor(Visited::Word(word, role), context);
    parts(&word.parts, context, visitor);
}

fn parts<'s>(all: &'s [Part], context: Context, visitor: Visitor<'_, 's>) {
    for part in all {
        match &part.kind {
            PartKind::Substitution { list: all, .. } | PartKind::Process(all) => {
                list(all, Context { substituted: true, ..context }, visitor);
            }
            PartKind::Arithmetic(one) => arithmetic(one, context, visitor),
            PartKind::Variable(variable) => {
                variable.argument.iter().for_each(|one| word(one, Role::Operand, context, visitor));
            }
            PartKind::Text(_) | PartKind::Glob(_) | PartKind::Tilde(_) | PartKind::Brace(_) => {}
        }
    }
}

fn arithmetic<'s>(arithmetic: &'s Arithmetic, context: Context, visitor: Visitor<'_, 's>) {
    parts(&arithmetic.parts, context, visitor);
}
