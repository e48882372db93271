//! Who may sign in to the pocket cloud.

use domain::Role;

/// Somebody who may sign in.
#[derive(Clone)]
pub struct User {
    pub name: String,
    pub role: Role,
    pub password: String,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").field("name", &self.name).field("role", &self.role).finish_non_exhaustive()
    }
}

impl User {
    /// The user `admin`, who may do everything.
    pub fn admin(password: &str) -> Self {
        Self { name: "admin".to_owned(), role: Role::Admin, password: password.to_owned() }
    }

    /// Somebody who uses the workspaces.
    pub fn member(name: &str, password: &str) -> Self {
        Self { name: name.to_owned(), role: Role::User, password: password.to_owned() }
    }
}

/// The users as auth is told of them.
///
/// # Errors
/// When a password cannot be hashed.
pub fn declared(users: &[User]) -> anyhow::Result<String> {
    let one = |person: &User| {
        let hash = auth::hash_password(&person.password)?;
        Ok(serde_json::json!({ "name": person.name, "role": person.role.name(), "hash": hash }))
    };
    let all = users.iter().map(one).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(serde_json::Value::from(all).to_string())
}
